"""The real executor with a calendar that is open at every hour: for tests on the wall clock."""

from tbot.domain.trading_hours import SessionCalendar, SessionTable
from tbot.engine import desk_record, executor
from tbot.engine.child import ChildContext
from tbot.engine.settings import EngineSettings


def always(table: SessionTable, template_ok: bool) -> SessionCalendar:
    return SessionCalendar(table, template_ok=template_ok, always=True)


def main(settings: EngineSettings, context: ChildContext) -> None:
    """Process entry point."""
    desk_record.SessionCalendar = always  # type: ignore[assignment,misc]
    executor.main(settings, context)
