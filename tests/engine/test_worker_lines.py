"""Lines of workers for the screen: which patterns are told, in which words and order; what no price is."""

import pytest

from event_builder import EventBuilder
from tbot.domain.contracts import PRODUCTS
from tbot.domain.process_messages import EngineEvent
from tbot.engine.supervisor import in_order
from tbot.engine.worker import known, pattern_line
from tbot_ext.records import NO_PRICE, Flag
from tbot_ext.records import EventCode as E

BAND = {"bottom": 100_000, "top": 100_050}
LINES = [
    (E.OB, 5, 1, BAND, ("ZONE", "5m order block (demand) 25000.00-25012.50")),
    (E.OB, 1, 1, BAND, None),
    (E.FVG, 5, -1, BAND, None),  # too many
    (E.FVG, 15, -1, BAND, ("ZONE", "15m fair value gap (supply) 25000.00-25012.50")),
    (E.BREAKER, 60, -1, BAND, ("ZONE", "1h breaker block (supply) 25000.00-25012.50")),
    (E.MITIGATION_BLOCK, 30, 1, BAND, ("ZONE", "30m mitigation block (demand) 25000.00-25012.50")),
    (E.SWEEP, 15, 1, {"level": 100_010}, ("SWEEP", "15m stops below 25002.50 taken")),
    (E.SWEEP, 60, -1, {"level": 100_010}, ("SWEEP", "1h stops above 25002.50 taken")),
    (E.SWEEP, 5, -1, {"level": 100_010}, None),
    (E.OB_TESTED, 60, 1, BAND, None),
]


@pytest.mark.parametrize(("kind", "tf", "side", "fields", "line"), LINES)
def test_lines(kind: E, tf: int, side: int, fields: dict[str, int], line: tuple[str, str] | None) -> None:
    make = EventBuilder()
    make.add(kind, 60, tf, side=side, **fields)
    for flag in (Flag.WARMUP, Flag.DUPLICATE):
        make.add(kind, 60, tf, flags=int(flag), side=side, **fields)
    told, *others = (pattern_line(event, PRODUCTS["MNQ"]) for event in make.take())
    assert told == line
    assert others == [None, None]


def test_before_the_first_print_there_is_no_price() -> None:
    """A status that carried the mark of no price was shown as one: -922337203685477580.8."""
    assert [known(price) for price in (NO_PRICE, 0, 100_001)] == [None, 0, 100_001]


def test_what_is_heard_at_once_is_told_in_the_order_in_which_it_happened() -> None:
    """The bus has no order between processes: a signal may come behind what was made of it."""
    told = [(5, "INTENT"), (0, "STATE"), (4, "SIGNAL"), (5, "FILL"), (0, "PROC")]
    events = [EngineEvent(now_ns, "", kind, "", "") for now_ns, kind in told]
    assert [event.kind for event in in_order(events)] == ["SIGNAL", "INTENT", "STATE", "FILL", "PROC"]
