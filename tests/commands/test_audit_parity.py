"""V13: a run's own journal and tape agree; a changed tape and a changed signal are found."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from engine_runs import running
from lively_tape import LIVELY, LIVELY_DETECTOR, START, lively
from tbot.backtest.results import BacktestResult
from tbot.backtest.runner import Runner
from tbot.cli import root
from tbot.commands import audit_parity
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import DeskInput, DeskOutput, RoundTrip, SignalIn, SignalStamps
from tbot.engine.desk_record import DeskRecord
from tbot.errors import ConfigError, DataError, TbotError
from tbot.execution.desk import Desk
from tbot.execution.fill_model import BACKTEST_FILLS, FillSettings
from tbot.execution.paper_broker import PaperAccount, PaperBroker
from tbot.execution.settings import AccountSettings
from tbot.risk.limits import RiskLimits
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import RunInfo
from tbot.storage.replay_stream import replay_stream
from tbot.storage.tape import TapeReader, TapeWriter, tape_meta
from tbot.strategy.settings import StrategySettings
from tbot.transport import wire
from tbot_ext.records import Kind

SYMBOLS = ("MNQ", "MES")
CONFIG = f"""
[strategy]
min_score = 0.0
max_tests = 3
{LIVELY_DETECTOR}
"""
DESK = DeskRecord(
    accounts=(AccountSettings(1),), limits=RiskLimits(risk_per_trade_cents=80_000), symbols=SYMBOLS,
    template_hours=True, run_start_ms=1, on_exit="flatten", speed=1.0,
)  # fmt: skip
Rows = list[tuple[DeskInput, list[DeskOutput]]]


def write_tape(path: Path, ticks: np.ndarray) -> Path:
    with TapeWriter(path, tape_meta([PRODUCTS[symbol] for symbol in SYMBOLS], "test")) as tape:
        tape.write(ticks)
    return path


def played(tape: Path, fills: FillSettings) -> Rows:
    """What the Desk of a session on this tape heard and said."""
    settings = DESK.settings()
    broker = PaperBroker([PaperAccount(1, "PAPER", 5_000_000)], settings.products, fills)
    runner = Runner(SYMBOLS, LIVELY, Desk(settings), broker)
    with TapeReader(tape) as reader:
        runner.run(replay_stream(reader))
    return runner.record.rows


def write_journal(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(mode=0o700)
    with Journal(path, wire, RunInfo(1, "build", "hash", "replay", START, DESK.encode())) as journal:
        for item, outputs in rows:
            journal.record(item, outputs)
        journal.flush()
    return path


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Rows]:
    """Folder, tape and rows of one session; the market's fills were worse than those of the model by a tick."""
    folder = tmp_path_factory.mktemp("session")
    (folder / "config.toml").write_text(CONFIG)
    tape = write_tape(folder / "2026-11-20.tape", lively(SYMBOLS, seed=5))
    return (
        folder,
        tape,
        played(tape, replace(BACKTEST_FILLS, market_slippage_ticks=BACKTEST_FILLS.market_slippage_ticks + 1)),
    )


@pytest.fixture
def replayed_once(session: tuple[Path, Path, Rows], monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay of the session's own tape, which the first test makes for real, from memory."""
    monkeypatch.setattr(audit_parity, "_replay", own_replay)


REAL_REPLAY = audit_parity._replay
RESULTS: dict[tuple[Path, ...], BacktestResult] = {}


def own_replay(tapes: tuple[Path, ...], given: audit_parity.Session, strategy: StrategySettings) -> BacktestResult:
    if tapes not in RESULTS:
        RESULTS[tapes] = REAL_REPLAY(tapes, given, strategy)
    return RESULTS[tapes]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(root, ["audit", "parity", *map(str, arguments)], standalone_mode=False)


def compared(folder: Path, journal: Path, tape: Path, *more: object) -> tuple[int, dict[str, Any]]:
    result = call("--journal", journal, "--tape", tape, "--config", folder / "config.toml", "--json", "-q", *more)
    assert result.exception is None, result.exception
    return result.return_value, json.loads(result.stdout)


def test_V13_a_sessions_own_tape_gives_its_decisions_again(session: tuple[Path, Path, Rows], tmp_path: Path) -> None:
    folder, tape, rows = session
    journal = write_journal(tmp_path / "own" / "journal.db", rows)
    code, found = compared(folder, journal, tape)
    assert code == 0
    assert found["equal"]
    assert found["signals"]["identical"] == found["signals"]["journaled"] == found["signals"]["replayed"] >= 10
    assert found["signals"]["outside"] == 0
    # Realised against modelled: every entry a tick worse, and the account a tick value poorer for it.
    pairs = found["fills"]["pairs"]
    assert len(pairs) >= 4
    assert {pair["entry_ticks"] for pair in pairs} == {1.0}
    assert {pair["slippage_real"] - pair["slippage_modelled"] for pair in pairs} == {1.0}
    stopped = [pair for pair in pairs if pair["exit_real"] == pair["exit_modelled"] == "stop"]
    assert stopped
    text = call("--journal", journal, "--tape", tape, "--config", folder / "config.toml").stdout
    assert "decisions are identical" in text
    assert "entry +1.00" in text


def changed(rows: Rows, change: Callable[[SignalIn], SignalIn | None]) -> Rows:
    """The rows with their third signal changed, or left out."""
    place = [number for number, (item, _) in enumerate(rows) if isinstance(item, SignalIn)][2]
    item, outputs = rows[place]
    assert isinstance(item, SignalIn)
    other = change(item)
    return [*rows[:place], *([] if other is None else [(other, outputs)]), *rows[place + 1 :]]


@pytest.mark.usefixtures("replayed_once")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda item: replace(item, signal=replace(item.signal, stop=item.signal.stop + 1)), "stop "),
        (lambda item: replace(item, signal=replace(item.signal, event_ids=(1, 2))), "event_ids "),
        (lambda item: None, "decided by the replay only"),
    ],
)
def test_V13_a_tampered_signal_is_found(
    session: tuple[Path, Path, Rows], tmp_path: Path, change: Callable[[SignalIn], SignalIn | None], says: str
) -> None:
    folder, tape, rows = session
    code, found = compared(folder, write_journal(tmp_path / "one" / "journal.db", changed(rows, change)), tape)
    assert code == 1
    (difference,) = found["signals"]["differences"]
    assert difference["what"].startswith(says)
    assert found["signals"]["identical"] == found["signals"]["replayed"] - 1


@pytest.mark.usefixtures("replayed_once")
def test_V13_stamps_and_ring_positions_may_differ(session: tuple[Path, Path, Rows], tmp_path: Path) -> None:
    def restamped(item: SignalIn) -> SignalIn:
        quote = replace(item.signal.quote, seq=999, age_ns=5, epoch=3)
        return replace(item, signal=replace(item.signal, ring_seq=12345, quote=quote))

    folder, tape, rows = session
    code, _ = compared(folder, write_journal(tmp_path / "two" / "journal.db", changed(rows, restamped)), tape)
    assert code == 0


def test_V13_a_tampered_tape_is_found(session: tuple[Path, Path, Rows], tmp_path: Path) -> None:
    """An hour in the middle is two ticks higher."""
    folder, _, rows = session
    ticks = lively(SYMBOLS, seed=5)
    priced = np.isin(ticks["kind"], (Kind.TRADE, Kind.QUOTE)) & (ticks["contract_id"] == PRODUCTS["MNQ"].contract_id)
    hour = priced & (ticks["exch_ns"] > START + 2 * 3600 * 10**9) & (ticks["exch_ns"] < START + 3 * 3600 * 10**9)
    ticks["price"][hour] += 2
    ticks["price2"][hour & (ticks["kind"] == Kind.QUOTE)] += 2
    tape = write_tape(tmp_path / "other.tape", ticks)
    code, found = compared(folder, write_journal(tmp_path / "three" / "journal.db", rows), tape)
    assert code == 1
    assert found["signals"]["differences"]
    assert {row["contract"] for row in found["signals"]["differences"]} == {"MNQ"}


@pytest.mark.usefixtures("replayed_once")
def test_V13_latencies_come_from_the_stamps(session: tuple[Path, Path, Rows], tmp_path: Path) -> None:
    folder, tape, rows = session

    def stamped(output: DeskOutput) -> DeskOutput:
        if not isinstance(output, RoundTrip):
            return output
        stamps = SignalStamps(frame_recv_boot_ns=1_000_000)
        return replace(output, stamps=stamps, request_boot_ns=3_000_000, answered_boot_ns=53_000_000)

    timed = [(item, [stamped(output) for output in outputs]) for item, outputs in rows]
    _, found = compared(folder, write_journal(tmp_path / "four" / "journal.db", timed), tape)
    latency = found["fills"]["latency"]
    assert (latency["frame to request"]["p50_ms"], latency["request to answer"]["max_ms"]) == (2.0, 50.0)
    assert latency["frame to request"]["count"] == len(found["fills"]["pairs"])


@pytest.mark.usefixtures("replayed_once")
def test_V13_days_can_be_chosen(session: tuple[Path, Path, Rows], tmp_path: Path) -> None:
    folder, tape, rows = session
    journal = write_journal(tmp_path / "five" / "journal.db", rows)
    _, whole = compared(folder, journal, tape)
    # The tape runs over the end of a trading day (17:00 in Chicago).
    parts = [compared(folder, journal, tape, "--day", day)[1] for day in ("2026-11-20", "2026-11-21")]
    assert sum(part["signals"]["journaled"] for part in parts) == whole["signals"]["journaled"]
    assert parts[0]["signals"]["journaled"] > 0
    arguments = ("--journal", journal, "--tape", tape, "--config", folder / "config.toml", "--day")
    assert isinstance(call(*arguments, "2026-11-03").exception, DataError)
    assert isinstance(call(*arguments, "soon").exception, ConfigError)


@pytest.mark.usefixtures("replayed_once")
def test_V13_what_cannot_be_compared_is_refused(session: tuple[Path, Path, Rows], tmp_path: Path) -> None:
    _, tape, rows = session
    journal = write_journal(tmp_path / "six" / "journal.db", rows)
    plain = tmp_path / "plain.toml"
    plain.write_text("")
    other = call("--journal", journal, "--tape", tape, "--config", plain).exception
    assert isinstance(other, ConfigError)
    assert "other settings" in str(other)
    assert isinstance(call("--journal", journal, "--tape", tmp_path / "none.tape").exception, DataError)
    assert isinstance(call("--journal", journal, "--day", "2026-11-20").exception, DataError)  # tapes/2026-11-20.tape
    assert isinstance(call("--journal", journal, "--tape", plain).exception, TbotError)


@pytest.mark.long
def test_V13_a_session_of_real_processes_is_decided_again(session: tuple[Path, Path, Rows], tmp_path: Path) -> None:
    folder, tape, _ = session
    out = tmp_path / "out"
    arguments = ("replay", str(tape), "--config", str(folder / "config.toml"), "--out", str(out), "--json")
    with running(tmp_path / "home", *arguments) as engine:
        code, _ = engine.finish(400)
        assert code == 0, engine.stderr
    code, found = compared(folder, out / "journal.db", tape)
    assert code == 0, found
    assert found["signals"]["identical"] >= 10
    assert found["fills"]["pairs"]
    assert {(pair["entry_ticks"], pair["exit_ticks"]) for pair in found["fills"]["pairs"]} == {(0.0, 0.0)}
