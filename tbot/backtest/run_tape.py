"""A tape through the deciders in one process, every input and output of the Desk kept: for tests and comparisons."""

from pathlib import Path

from tbot.backtest.runner import Runner
from tbot.domain.contracts import BY_ID, PRODUCTS
from tbot.domain.trading_hours import SessionCalendar
from tbot.execution.desk import Desk
from tbot.execution.fill_model import BACKTEST_FILLS
from tbot.execution.paper_broker import PaperAccount, PaperBroker
from tbot.execution.settings import AccountSettings, DeskSettings
from tbot.risk.limits import RiskLimits
from tbot.storage.replay_stream import contract_ids, replay_stream
from tbot.storage.sessions import load_sessions
from tbot.storage.tape import TapeReader
from tbot.strategy.trader import StrategySettings

PAPER_ACCOUNT = 1


def run_tape(path: Path, strategy: StrategySettings, limits: RiskLimits, run_start_ms: int = 1) -> Runner:
    """Play a tape to its end; the Runner holds signals, the Desk's inputs and outputs, and the Desk."""
    with TapeReader(path) as tape:
        symbols = tuple(BY_ID[contract_id].symbol for contract_id in contract_ids(tape))
        products = {symbol: PRODUCTS[symbol] for symbol in symbols}
        calendar = SessionCalendar(load_sessions(), template_ok=True)
        accounts = (AccountSettings(PAPER_ACCOUNT),)
        settings = DeskSettings(accounts, limits, products, calendar, run_start_ms, in_process=True)
        broker = PaperBroker([PaperAccount(PAPER_ACCOUNT)], products, BACKTEST_FILLS)
        runner = Runner(symbols, strategy, Desk(settings), broker)
        runner.run(replay_stream(tape))
    return runner
