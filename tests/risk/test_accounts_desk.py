"""Several accounts on one Desk: one signal fans out, each is sized, guarded and locked alone (F-RSK-04, TR8)."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desk_rig import PRICE, Rig
from firm_rig import RULES, account, carried, exit_at, firm_rig, many_rig, move, restarted
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import AccountUpdate, Denial, Intent, OperatorIn, PlaceBracket, PositionUpdate, Query
from tbot.errors import ConfigError
from tbot.execution.desk import AccountSettings, DeskSettings
from tbot.gateway.snapshots import READS
from tbot.gateway.throttle import GENERAL
from tbot.risk.caps import Cap, cpi_cap
from tbot.risk.limits import RiskLimits


def placed(rig: Rig, number: int) -> list[tuple[str, int, int]]:
    """(contract, side, size) of everything an account sent."""
    return [
        (command.contract, command.side, command.size)
        for command in rig.broker.wire
        if isinstance(command, PlaceBracket) and command.account == number
    ]


def refused(rig: Rig, number: int) -> list[str]:
    """Why an account did not take a signal, other than that the contract is none of its own."""
    return [note.reason for note in rig.of(Denial) if note.account == number and note.reason != "NOT_TRADED"]


def broker_of(rig: Rig, number: int):  # type: ignore[no-untyped-def]
    return rig.broker.brokers[number]  # type: ignore[attr-defined]


def close_by(rig: Rig, number: int, kind: str, contract: str = "MNQ") -> None:
    own = broker_of(rig, number)
    leg = own.leg(kind, contract)
    own.fill(leg.order_id, price=leg.stop if kind == "SL" else leg.limit)
    rig.pump()


# ---------------------------------------------------------------------------------------------------------- fan out
def test_one_signal_fans_out_by_the_settings_of_each_account() -> None:
    rig = many_rig(
        account(1001),
        account(1002, limits=RiskLimits(max_micros=2)),
        account(1003, contracts=("MES", "ES")),
        account(1004, limits=RiskLimits(risk_per_trade_cents=2_322)),
        limits=RiskLimits(max_micros=4),
    )
    rig.signal(1)
    assert [placed(rig, number) for number in (1001, 1002, 1003, 1004)] == [
        [("MNQ", 1, 4)], [("MNQ", 1, 2)], [], [("MNQ", 1, 1)],
    ]  # fmt: skip
    assert [note.reason for note in rig.of(Denial)] == ["NOT_TRADED"]
    assert len({note.tag for note in rig.of(Intent)}) == 3
    assert [note.signal_id for note in rig.of(Intent)] == ["MNQ-1"] * 3


def test_an_account_that_locks_leaves_the_others_trading() -> None:
    rig = many_rig(account(1001), account(1002, limits=RiskLimits(consecutive_losses=1)), account(1003))
    rig.signal(1)
    close_by(rig, 1002, "SL")
    rig.run(6)
    states = {number: rig.desk.state(number) for number in (1001, 1002, 1003)}
    assert states == {1001: "ACTIVE", 1002: "LOCKED", 1003: "ACTIVE"}
    assert broker_of(rig, 1001).size("MNQ") == broker_of(rig, 1003).size("MNQ") == 5
    rig.signal(1, "MES", stop_ticks=16)
    assert refused(rig, 1002) == ["RC_CONSEC_LOSSES"]
    assert [placed(rig, number)[-1][0] for number in (1001, 1003)] == ["MES", "MES"]


@pytest.mark.parametrize(("count", "queries"), [(1, 12), (2, 24), (3, 30), (5, 30)])
def test_R9_R5_accounts_with_positions_leave_each_other_room_in_the_budget(count: int, queries: int) -> None:
    """Each query is four requests, and 160 in a minute are not reserved. Five accounts once wanted 240."""
    rig = many_rig(*(account(1001 + number) for number in range(count)))
    rig.signal(1)
    rig.run(20)
    assert all(len(placed(rig, 1001 + number)) == 1 for number in range(count))
    before = len([command for command in rig.broker.wire if isinstance(command, Query)])
    rig.run(60)
    asked = len([command for command in rig.broker.wire if isinstance(command, Query)]) - before
    assert queries - count <= asked <= queries
    assert asked * READS <= (GENERAL.limit - GENERAL.reserve) * 3 // 4


def test_TR2_the_floor_of_one_account_is_no_floor_of_another() -> None:
    rig = many_rig(account(1001), account(1002))
    broker_of(rig, 1002).balance_cents = 4_830_000
    rig.run(35, step=1)
    assert (rig.desk.state(1001), rig.desk.state(1002)) == ("ACTIVE", "LOCKED")
    rig.signal(1)
    assert (len(placed(rig, 1001)), len(placed(rig, 1002))) == (1, 0)


def test_a_person_stops_one_account_only() -> None:
    rig = many_rig(account(1001), account(1002))
    rig.feed(OperatorIn(rig.now_ns, "kill", 1001))
    rig.run(2)
    assert (rig.desk.state(1001), rig.desk.state(1002)) == ("LOCKED", "ACTIVE")


# -------------------------------------------------------------------------------------------------------------- TR8
def two_sided(first: str, second: str) -> Rig:
    """Account 1 trades only `first`, account 2 only `second`."""
    return many_rig(account(1001, contracts=(first,)), account(1002, contracts=(second,)))


@pytest.mark.parametrize(
    ("first", "second", "side", "answer"),
    [
        ("NQ", "MNQ", -1, ["OPPOSITE_EXPOSURE"]),
        ("MES", "ES", -1, ["OPPOSITE_EXPOSURE"]),
        ("NQ", "MNQ", 1, []),
        ("NQ", "MES", -1, []),
    ],
)
def test_TR8_opposite_sides_of_one_underlying_across_accounts(
    first: str, second: str, side: int, answer: list[str]
) -> None:
    rig = two_sided(first, second)
    rig.signal(1, first, 1, stop_ticks=8)
    assert len(placed(rig, 1001)) == 1
    rig.signal(2, second, side, stop_ticks=8)
    assert refused(rig, 1002) == answer
    assert len(placed(rig, 1002)) == (0 if answer else 1)


def test_TR8_a_working_or_unknown_entry_elsewhere_counts_and_a_closed_one_does_not() -> None:
    rig = two_sided("NQ", "MNQ")
    broker_of(rig, 1001).script["place"] = ["ambiguous_lost"]
    rig.signal(1, "NQ", 1, stop_ticks=8)
    rig.signal(2, "MNQ", -1)
    assert refused(rig, 1002) == ["OPPOSITE_EXPOSURE"]
    rig.run(70, step=1)  # presumed dead
    rig.signal(3, "MNQ", -1)
    assert placed(rig, 1002) == [("MNQ", -1, 5)]


def test_TR8_a_strangers_position_elsewhere_counts() -> None:
    rig = two_sided("NQ", "MNQ")
    broker_of(rig, 1001).place_foreign("NQ", -1, 1)
    rig.pump()
    rig.signal(1, "MNQ", 1)
    assert refused(rig, 1002) == ["OPPOSITE_EXPOSURE"]


def test_TR8_a_strangers_position_in_a_contract_that_the_account_does_not_trade_counts() -> None:
    rig = many_rig(account(1001, contracts=("MNQ",), limits=RiskLimits(max_micros=1)))
    rig.signal(1)
    close_by(rig, 1001, "TP")  # a profit, so that the day's headroom is not what refuses
    rig.run(6)
    broker_of(rig, 1001).place_foreign("NQ", -1, 1)
    rig.pump()
    rig.signal(2)
    assert refused(rig, 1001) == ["OPPOSITE_EXPOSURE"]


@pytest.mark.parametrize(("held", "answer"), [("CON.F.US.ENQ.Z26", ["OPPOSITE_EXPOSURE"]), ("CON.F.US.XYZ.Z26", [])])
def test_TR8_a_strangers_position_in_a_product_that_the_run_does_not_trade_counts(held: str, answer: list[str]) -> None:
    """Its name is the gateway's id of the contract, of whatever month."""
    rig = two_sided("MES", "MNQ")
    broker_of(rig, 1001).price[held] = 80_000
    broker_of(rig, 1001).place_foreign(held, -1, 1)
    rig.pump()
    rig.signal(1, "MNQ", 1)
    assert refused(rig, 1002) == answer


def test_TR8_a_position_that_only_the_hub_told_of_counts_until_a_fill_explains_it() -> None:
    rig = two_sided("NQ", "MNQ")
    rig.feed(PositionUpdate(rig.now_ns, 1001, "NQ", -1, -80_000))
    rig.signal(1, "MNQ", 1)
    assert refused(rig, 1002) == ["OPPOSITE_EXPOSURE"]
    rig.feed(PositionUpdate(rig.now_ns, 1001, "NQ", 0, 0))
    rig.signal(2, "MNQ", 1)
    assert placed(rig, 1002) == [("MNQ", 1, 5)]


def test_TR8_nothing_is_entered_before_every_account_has_been_read() -> None:
    """At a start another account may hold the other side, and nobody knows it."""
    rig = many_rig(account(1001), account(1002), start=False)
    broker_of(rig, 1002).place_foreign("NQ", -1, 1)
    broker_of(rig, 1002).events.clear()
    broker_of(rig, 1002).script["query"] = ["rejected"] * 3
    rig.start()
    assert (rig.desk.state(1001), rig.desk.state(1002)) == ("ACTIVE", "RECONCILING")
    rig.signal(1, "MNQ", 1)
    assert refused(rig, 1001) == ["RC_RECONCILING"]
    (told,) = [note.text for note in rig.of(Denial) if note.account == 1001]
    assert told == "what account 1002 holds has not been read yet; it may be the other side"
    rig.run(20)
    assert rig.desk.state(1002) == "ACTIVE"
    rig.signal(2, "MNQ", 1)
    assert refused(rig, 1001)[1:] == ["OPPOSITE_EXPOSURE"]
    rig.signal(3, "MES", 1, stop_ticks=16)
    assert placed(rig, 1001) == [("MES", 1, 5)]


def test_TR8_opposite_signals_at_one_instant() -> None:
    """The first one counts for all accounts before the second is looked at."""
    rig = many_rig(account(1001), account(1002))
    rig.signal(1, "MNQ", 1)
    rig.signal(2, "NQ", -1, stop_ticks=8)
    assert refused(rig, 1001) == refused(rig, 1002) == ["OPPOSITE_EXPOSURE"]


# --------------------------------------------------------------------------------------------------------- F-RSK-04
def test_F_RSK_04_two_contracts_approved_at_one_instant_share_the_headroom() -> None:
    """Daily limit 200.00. MNQ takes 5 x 23.22 = 116.10; MES costs (16 + 4) x 1.25 + 1.22 = 26.22: three, not five."""
    rig = firm_rig(limits=RiskLimits(daily_loss_cents=20_000))
    rig.signal(1)
    rig.signal(1, "MES", stop_ticks=16)
    assert [(command.contract, command.size) for command in rig.broker.sent(PlaceBracket)] == [("MNQ", 5), ("MES", 3)]
    rig.signal(1, "MGC", stop_ticks=10)  # (10 + 4) x 1.00 + 1.92 = 15.92 > 200 - 116.10 - 78.66 - ...
    assert rig.denials == ["RC_DAILY_LOSS"]


def test_F_RSK_04_entries_that_have_not_filled_count_like_filled_ones() -> None:
    for fills in (True, False):
        rig = firm_rig(limits=RiskLimits(daily_loss_cents=20_000))
        rig.broker.fill_entries = fills
        rig.signal(1)
        rig.signal(1, "MES", stop_ticks=16)
        assert [command.size for command in rig.broker.sent(PlaceBracket)] == [5, 3]


def test_F_RSK_04_I12_correlated_positions_that_trip_together_are_all_closed() -> None:
    rig = firm_rig(limits=RiskLimits(daily_loss_cents=40_000))
    rig.signal(1)
    rig.signal(1, "MES", stop_ticks=16)
    move(rig, "MNQ", -100)
    move(rig, "MES", -30)
    rig.run(3)
    assert (rig.state, rig.broker.size("MNQ"), rig.broker.size("MES")) == ("LOCKED", 0, 0)
    assert "RC_DAILY_LOSS" in [reason["code"] for reason in rig.view()["reasons"]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(PRICE)), st.sampled_from([1, -1]), st.integers(4, 60)), min_size=1, max_size=6
    ),
    st.integers(5_000, 80_000),
    st.integers(50_001, 90_000),
    st.booleans(),
)
def test_F_RSK_04_I12_I6_whatever_is_approved_at_one_instant_fits_both_limits(
    wanted: list[tuple[str, int, int]], daily: int, above: int, fills: bool
) -> None:
    """Sum of worst cases by the intents alone, against the day's limit and the room above the floor's lock."""
    rig = firm_rig(4_800_000 + above, limits=RiskLimits(daily_loss_cents=daily, min_target_cost_ratio=0))
    rig.broker.fill_entries = fills
    for number, (contract, side, stop) in enumerate(wanted):
        if fills and contract not in ("MNQ", "MES"):
            continue  # this broker takes the fees of index micros, so other fills would be cheaper than planned
        rig.signal(number, contract, side, stop_ticks=stop, target_ticks=100)
    worst = micros = 0
    sides: dict[str, int] = {}
    for note in rig.of(Intent):
        product = PRODUCTS[note.contract]
        worst += note.size * ((note.stop_ticks + 4) * product.tick_value_cents + product.round_turn_cents)
        micros += note.size * product.micros
        assert sides.setdefault(product.family, note.side) == note.side
    assert worst <= daily
    assert worst <= above - 30_000
    assert micros <= 50
    rig.assert_invariants()


# -------------------------------------------------------------------------------------------------- F-RSK-05, rules
def test_F_RSK_05_a_running_desk_takes_no_other_limits() -> None:
    rig = firm_rig()
    with pytest.raises(AttributeError):
        rig.settings.limits.daily_loss_cents = 1  # type: ignore[misc]
    with pytest.raises(AttributeError):
        rig.settings.accounts[0].rules.max_loss_cents = 1  # type: ignore[misc, union-attr]
    with pytest.raises(AttributeError):
        rig.settings.limits = RiskLimits()  # type: ignore[misc]


def test_F_RSK_05_I14_looser_limits_after_a_restart_do_not_undo_the_lock_of_the_day() -> None:
    tight = RiskLimits(consecutive_losses=1, daily_loss_cents=30_000)
    rig = firm_rig(limits=tight)
    rig.signal(1)
    exit_at(rig, "SL")
    rig.run(2)
    assert rig.state == "LOCKED"
    fresh = restarted(rig, account(carried=carried(rig)), RiskLimits())
    fresh.run(2)
    assert fresh.state == "LOCKED"


def test_TR3_limits_of_an_account_are_checked_against_its_own_rules() -> None:
    small = replace(RULES, max_loss_cents=100_000)
    tight = RiskLimits(daily_loss_cents=49_999)
    made = firm_rig().settings
    with pytest.raises(ConfigError, match="daily_loss_cents is 80000"):
        replace(made, accounts=(account(1001), account(1002, small)))
    for good in (
        replace(made, accounts=(account(1001), account(1002, small, limits=tight))),
        replace(made, limits=tight),
    ):
        assert isinstance(good, DeskSettings)
        assert [good.of_account(held).accounts for held in good.accounts] == [(held,) for held in good.accounts]


# ------------------------------------------------------------------------------------------------------- TR5 and view
def test_TR5_caps_bind_each_account_by_its_own_rules_and_show() -> None:
    rules = replace(RULES, cpi_limits=(("MNQ", 3), ("NQ", 0), ("ZZ", 1)), product_limits=(("GC", 3), ("CL", 3)))
    now = firm_rig().now_ns
    caps = (Cap("MES", 2, now, now + 10**9, "e-mail"), cpi_cap(now, "bls.gov"), Cap("*", 1, now - 2, now - 1, "over"))
    rig = firm_rig(held=account(rules=rules), caps=caps)
    rig.signal(1)
    rig.signal(1, "MES", stop_ticks=16)
    rig.signal(1, "NQ", stop_ticks=8)
    assert [(command.contract, command.size) for command in rig.broker.sent(PlaceBracket)] == [("MNQ", 3), ("MES", 2)]
    assert rig.denials == ["LIMIT_OVERRIDE"]
    assert [(cap["product"], cap["most"], cap["source"]) for cap in rig.view()["caps"]] == [
        ("GC", 3, "the firm's limit"),
        ("MES", 2, "e-mail"),
        ("MNQ", 3, "CPI release (bls.gov)"),
        ("NQ", 0, "CPI release (bls.gov)"),
    ]
    rig.tick(301)
    assert [cap["product"] for cap in rig.view()["caps"]] == ["GC"]
    assert firm_rig(held=account(rules=None), caps=caps).view()["caps"][0]["product"] == "MES"


def test_TR10_entries_of_one_product_are_capped_by_the_day() -> None:
    rig = firm_rig(held=account(rules=replace(RULES, entries_per_product=2)))
    for number in range(3):
        rig.signal(number)
        if number < 2:
            exit_at(rig, "TP")
        rig.run(6)
    rig.signal(1, "MES", stop_ticks=16)
    assert rig.denials == ["ENTRY_CAP_PRODUCT"]
    assert [command.contract for command in rig.broker.sent(PlaceBracket)] == ["MNQ", "MNQ", "MES"]


def test_an_account_that_is_not_pinned_is_no_account_of_the_desk() -> None:
    rig = many_rig(account(1001))
    rig.feed(AccountUpdate(rig.now_ns, 7, "PRAC-7", 1, True, True))
    assert list(rig.desk.view()["accounts"]) == ["1001"]  # type: ignore[call-overload]
    assert rig.desk.view()["ignored_events"] == 1
    assert AccountSettings(7).rules is None
