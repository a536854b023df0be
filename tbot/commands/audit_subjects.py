"""What can be audited, as functions of bars: detectors, signals, a user's strategy, the compatibility functions."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.analytics.bar_signals import bar_signals
from tbot.analytics.bar_tables import LOADED_DTYPE
from tbot.analytics.detect import kind_names, to_prices
from tbot.backtest.runner import StrategyError
from tbot.commands.user_strategy import UserStrategy, told
from tbot.compat import smc
from tbot.domain.contracts import Product
from tbot.domain.messages import Signal
from tbot.domain.timeframes import NS_PER_MIN
from tbot.errors import TbotError
from tbot.strategy.settings import StrategySettings
from tbot.strategy.trader import ContractTrader
from tbot.validation.lookahead import Said, Subject
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import EventCode

Bars = npt.NDArray[np.void]

# Wide enough for what a signal says; longer texts are compared by their beginning.
_SIGNAL_ROW = np.dtype([
    ("side", "i8"), ("stop", "i8"), ("target", "i8"), ("score", "f8"), ("bid", "i8"), ("ask", "i8"), ("zone", "i8"),
    ("decided_ns", "i8"), ("id", "U48"), ("reason", "U200"), ("parts", "U400"), ("events", "U400"),
])  # fmt: skip
_PRICES = ("open", "high", "low", "close")
COMPAT_SWING = 5


def detector_subject(params: Params, kinds: frozenset[EventCode]) -> Subject:
    """The packaged detectors of one timeframe, of which these kinds are looked at."""
    chosen = np.array(sorted(int(code) for code in kinds))

    def subject(bars: Bars) -> Said:
        events = Detector(int(bars["timeframe_min"][0]), params).push_bars(bars)
        events = events[np.isin(events["kind"], chosen)]
        return Said(events["known"] + 1, kind_names(events), events, ("id", "parent_id"))

    return subject


def signals_of(
    bars: Bars, product: Product, settings: StrategySettings, strategy: UserStrategy | None = None
) -> list[Signal]:
    """Signals over 1m bars of the packaged strategy or a user's trader; what that raises becomes a StrategyError with
    the line."""
    make_trader = ContractTrader if strategy is None else strategy.make_trader
    try:
        return [trade.signal for trade in bar_signals(bars, product, settings, make_trader=make_trader)]
    except TbotError:
        raise
    except Exception as error:
        if strategy is None:
            raise
        raise _failed(strategy, error) from error


def signal_subject(product: Product, settings: StrategySettings, strategy: UserStrategy | None = None) -> Subject:
    """The whole path of a strategy: ticks, bars of all timeframes, detectors, trader."""

    def subject(bars: Bars) -> Said:
        signals = signals_of(bars, product, settings, strategy)
        rows = np.array([_signal_row(signal) for signal in signals], _SIGNAL_ROW)
        return Said(closed_by(bars, rows["decided_ns"]), np.full(len(rows), "signal"), rows)

    return subject


def closed_by(bars: Bars, times_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many of these 1m bars had closed at each time."""
    return np.searchsorted(bars["start_ns"] + NS_PER_MIN, times_ns, "right").astype(np.int64)


def _signal_row(signal: Signal) -> tuple[Any, ...]:
    parts = " ".join(f"{name}={value!r}" for name, value in sorted(signal.parts.items()))
    return (
        signal.side, signal.stop, signal.target, signal.score, signal.quote.bid, signal.quote.ask, signal.zone_id,
        signal.decided_ns, signal.signal_id, signal.reason, parts, " ".join(map(str, signal.event_ids)),
    )  # fmt: skip


def held_by(strategy: UserStrategy, bars: Bars, tick: Decimal) -> npt.NDArray[np.int64]:
    """What a user's function over whole bars holds after each bar: -1, 0, +1. StrategyError when it raises or gives
    something else."""
    try:
        given = np.asarray(strategy.call(loaded(bars, tick)), np.float64)
    except TbotError:
        raise
    except Exception as error:
        raise _failed(strategy, error) from error
    if given.shape != (len(bars),):
        raise StrategyError(f"{strategy.name} gave an array of shape {given.shape} for {len(bars)} bars; give one each")
    wrong = np.flatnonzero(~np.isin(given, (-1, 0, 1)))
    if len(wrong):
        raise StrategyError(f"{strategy.name} gave {given[wrong[0]]} for bar {wrong[0] + 1}; give -1, 0 or +1")
    return given.astype(np.int64)


def bars_subject(strategy: UserStrategy, tick: Decimal) -> Subject:
    """A user's function over whole bars; each change of what it holds is one statement, made at its bar's close."""

    def subject(bars: Bars) -> Said:
        held = held_by(strategy, bars, tick)
        changes = np.flatnonzero(np.diff(held, prepend=0))
        rows = np.zeros(len(changes), [("bar", "i8"), ("signal", "i8")])
        rows["bar"], rows["signal"] = changes + 1, held[changes]
        return Said(changes + 1, np.full(len(changes), "signal"), rows)

    return subject


def loaded(bars: Bars, tick: Decimal) -> npt.NDArray[np.void]:
    """Bars as `tbot.load` gives them."""
    out = np.zeros(len(bars), LOADED_DTYPE)
    out["time"], out["volume"] = bars["start_ns"], bars["volume"]
    for name in _PRICES:
        out[name] = to_prices(bars[name], tick)
    return out


def compat_subjects(tick: Decimal) -> dict[str, Subject]:
    """The six functions of `tbot.compat.smc`, each row taken as known at its own bar, as their users do."""

    def swings(table: dict[str, Any]) -> Any:
        return smc.swing_highs_lows(table, COMPAT_SWING)

    calls: dict[str, Callable[[dict[str, Any]], Any]] = {
        "smc.fvg": smc.fvg,
        "smc.swing_highs_lows": swings,
        "smc.bos_choch": lambda table: smc.bos_choch(table, swings(table)),
        "smc.ob": lambda table: smc.ob(table, swings(table)),
        "smc.liquidity": lambda table: smc.liquidity(table, swings(table)),
        "smc.previous_high_low": lambda table: smc.previous_high_low(table, "1D"),
    }
    return {name: _compat_subject(name, call, tick) for name, call in calls.items()}


def _compat_subject(name: str, call: Callable[[dict[str, Any]], Any], tick: Decimal) -> Subject:
    def subject(bars: Bars) -> Said:
        table = {column: to_prices(bars[column], tick) for column in _PRICES}
        table |= {"volume": bars["volume"].astype(np.float64), "time": bars["start_ns"].astype("datetime64[ns]")}
        columns = call(table)
        rows = np.zeros(len(bars), [(column, np.asarray(values).dtype) for column, values in columns.items()])
        for column, values in columns.items():
            rows[column] = values
        return Said(np.arange(1, len(bars) + 1), np.full(len(bars), name), rows)

    return subject


def _failed(strategy: UserStrategy, error: Exception) -> StrategyError:
    return StrategyError(
        f"the strategy {strategy.name} failed ({told(error, strategy.path)}); nothing of this audit counts: correct it "
        "and run again"
    )
