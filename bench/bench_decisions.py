r"""What do the fill model and the gate cost: a tick with an order in the book, a whole trade, one entry decision?

No budget of their own: the gate is part of "signal to order request" (2 ms), the fill model of the backtest's rate.
Run: python -m pytest -s --benchmark-timer=time.process_time \
    -o python_files='bench_*.py' -o python_functions='bench_*' bench/bench_decisions.py
Reference machine: 2 virtual cores of a shared x86-64 server.
"""

from collections.abc import Callable
from typing import Any

from book_rig import BookRig
from desk_rig import quote, signal
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Fill
from tbot.domain.timeframes import NS_PER_S
from tbot.risk.gate import AccountFacts, Approval, Refusal, Request, decide
from tbot.risk.limits import RiskLimits

REPEATS = 500
NOW = 1_000 * NS_PER_S


def measure(benchmark: Any, action: Callable[[], object]) -> None:
    def run() -> None:
        for _ in range(REPEATS):
            action()

    benchmark.pedantic(run, rounds=30, warmup_rounds=2)
    each = benchmark.stats.stats.median / REPEATS * 1e6
    benchmark.extra_info["us"] = round(each, 2)
    print(f"\n{benchmark.name}: {each:.2f} us")


def bench_a_quote_with_nothing_open(benchmark: Any) -> None:
    rig = BookRig()
    measure(benchmark, lambda: rig.quote(1_000, 1_002))
    assert not rig.events


def bench_a_print_with_a_bracket_open(benchmark: Any) -> None:
    """Between stop and target: both are looked at, neither fills."""
    rig = BookRig()
    rig.bracket(1, 1, -40, 80)
    rig.quote(1_000, 1_002)
    rig.take()
    measure(benchmark, lambda: rig.trade(1_003))
    assert not rig.take()


def bench_a_round_trip(benchmark: Any) -> None:
    """Market entry with bracket, fill, stop hit: eight events, money to the cent."""

    def trip() -> int:
        rig = BookRig()
        rig.bracket(1, 1, -40, 80)
        rig.quote(1_000, 1_002)
        rig.trade(900)
        return sum(isinstance(event, Fill) for event in rig.events)

    assert trip() == 2
    measure(benchmark, trip)


def request(**changes: object) -> Request:
    fields = {
        "now_ns": NOW, "signal": signal(), "quote": quote(), "age_ns": 0, "product": PRODUCTS["MNQ"],
        "limits": RiskLimits(), "facts": AccountFacts("ACTIVE", "", "trading", 0, 0, (), None, ()), "feed": "ok",
        "feed_text": "", "window_refusal": "",
    }  # fmt: skip
    return Request(**{**fields, **changes})  # type: ignore[arg-type]


def bench_an_entry_approved(benchmark: Any) -> None:
    """Every check passes, and the size is found."""
    asked = request()
    assert isinstance(decide(asked), Approval)
    measure(benchmark, lambda: decide(asked))


def bench_an_entry_refused_at_once(benchmark: Any) -> None:
    asked = request(feed="stale", feed_text="no data")
    assert isinstance(decide(asked), Refusal)
    measure(benchmark, lambda: decide(asked))
