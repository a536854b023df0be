"""V15: the last line of every report, by numbers made by hand: what turns it, and how it is put."""

import math
from dataclasses import replace

import pytest

from tbot.validation.bootstrap import Interval, unknown
from tbot.validation.verdict import Finding, Verdict

# Everything known and for it: exactly at each border, where one step further would turn it.
BEST = Verdict(
    trades=200,
    expectancy_ticks=Interval(2.0, 0.01, 4.0, 0.95, 2_000),
    expectancy_cents=Interval(100.0, 0.5, 200.0, 0.95, 2_000),
    deflated_sharpe=0.95,
    trials=3.25,
    pbo=0.49,
    null_percentile=95.0,
    dies_at=1.5,
)


def around(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 0.95, 2_000)


def test_V15_evidence_is_claimed_when_everything_is_known_and_for_it() -> None:
    assert BEST.finding == "evidence of an edge"
    assert not BEST.provisional
    assert replace(BEST, dies_at=None).finding == "evidence of an edge"  # no costs are no criterion
    assert replace(BEST, dies_at=math.inf).finding == "evidence of an edge"


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"trades": 0}, "no trades"),
        ({"expectancy_ticks": None}, "no trades"),
        ({"expectancy_cents": None}, "no trades"),
        ({"expectancy_cents": around(-20, -0.01), "expectancy_ticks": around(-4, -0.1)}, "loses"),
        ({"expectancy_cents": around(-20, 0), "expectancy_ticks": around(-4, 0)}, "no evidence of an edge"),
        ({"expectancy_cents": around(0, 20)}, "no evidence of an edge"),
        ({"expectancy_ticks": around(0, 4)}, "no evidence of an edge"),
        ({"expectancy_cents": unknown(50.0), "expectancy_ticks": unknown(1.0)}, "no evidence of an edge"),
        ({"deflated_sharpe": 0.9499}, "no evidence of an edge"),
        ({"pbo": 0.5}, "no evidence of an edge"),
        ({"null_percentile": 94.9}, "no evidence of an edge"),
        ({"dies_at": 1.49}, "no evidence of an edge"),
        ({"dies_at": 0.0}, "no evidence of an edge"),
        ({"deflated_sharpe": None}, "promising, not proven"),
        ({"pbo": None}, "promising, not proven"),
        ({"null_percentile": None}, "promising, not proven"),
        ({"trades": 199}, "promising, not proven"),
        # What speaks against it counts whatever else is not known.
        ({"trades": 199, "pbo": None, "null_percentile": None, "dies_at": 1.2}, "no evidence of an edge"),
        ({"trades": 3, "expectancy_cents": around(-9, -1)}, "loses"),
    ],
)
def test_V15_each_criterion_alone_turns_the_finding(changes: dict[str, object], finding: Finding) -> None:
    assert replace(BEST, **changes).finding == finding  # type: ignore[arg-type]


def test_V15_of_contracts_whose_ticks_are_worth_different_money_both_units_must_agree() -> None:
    """A hundred small wins in MNQ (50 cents a tick) and few large losses in NQ, or the other way round."""
    money_lost = replace(BEST, expectancy_cents=around(-900, -100), expectancy_ticks=around(1, 3))
    money_won = replace(BEST, expectancy_cents=around(100, 900), expectancy_ticks=around(-3, -1))
    assert money_lost.finding == "loses"
    assert money_won.finding == "no evidence of an edge"
    assert "net -$5.00 a trade and +2.00 (95 % +1.00 to +3.00) ticks a trade and contract" in money_lost.line
    assert "net +$5.00 a trade and -2.00 (95 % -3.00 to -1.00) ticks a trade and contract" in money_won.line


def test_V15_fewer_than_200_trades_are_marked_provisional() -> None:
    assert "PROVISIONAL" not in BEST.line
    few = replace(BEST, trades=199)
    assert few.provisional
    assert few.line.startswith("VERDICT (PROVISIONAL: fewer than 200 trades): promising, not proven. 199 trades, ")
    assert ". 1 trade, " in replace(BEST, trades=1).line


def test_V15_the_line_in_full() -> None:
    assert BEST.line == (
        "VERDICT: evidence of an edge. 200 trades, net +$1.00 a trade and +2.00 (95 % +0.01 to +4.00) ticks a trade "
        "and contract, deflated Sharpe 0.95 of 3.2 effective trials, PBO 0.49, null percentile 95, dies at 1.50 x "
        "its costs."
    )


def test_V15_the_line_without_a_trade_says_that_nothing_can_be_said() -> None:
    nothing = Verdict(0, None, None, None, 1.0, None, None, None)
    assert nothing.finding == "no trades"
    assert nothing.line == "VERDICT (PROVISIONAL: fewer than 200 trades): no trades, so nothing can be said."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"deflated_sharpe": None}, "deflated Sharpe not known of 3.2 effective trials"),
        ({"pbo": None}, "PBO not known (needs a sweep)"),
        ({"null_percentile": None}, "null percentile not known"),
        ({"null_percentile": 94.9}, "null percentile 94 (not distinguishable from random levels)"),
        ({"dies_at": None}, "costs not known"),
        ({"dies_at": 0.0}, "loses even without costs"),
        ({"dies_at": math.inf}, "bears any costs"),
        ({"expectancy_ticks": unknown(1.25)}, "and +1.25 (interval not known: too few days) ticks"),
        ({"expectancy_cents": unknown(-0.4)}, "net +$0.00 a trade"),
    ],
)
def test_V15_what_is_not_known_or_without_end_is_put_in_words(changes: dict[str, object], words: str) -> None:
    line = replace(BEST, **changes).line  # type: ignore[arg-type]
    assert words in line


@pytest.mark.parametrize("trades", [0, 1, 199, 200])
@pytest.mark.parametrize("interval", [None, unknown(math.inf), unknown(-3.0), around(-1, 1)])
@pytest.mark.parametrize("number", [None, 0.0, 0.5, 99.0])
def test_V15_it_is_one_line_whatever_is_known(trades: int, interval: Interval | None, number: float | None) -> None:
    told = Verdict(trades, interval, interval, number, 1.0, number, number, number)
    assert "\n" not in told.line
    assert told.line.startswith("VERDICT")
    assert told.finding in told.line
    assert told.line.endswith(".")
    assert told.line.count("VERDICT") == 1
