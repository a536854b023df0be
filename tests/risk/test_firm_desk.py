"""The firm's rules on the running Desk: floor, day profit, target, by hand-computed numbers to the cent."""

from dataclasses import replace
from random import Random

import pytest

from desk_rig import START_NS, Rig, round_trips
from firm_rig import DAY_NS, RULES, S, account, broker, carried, exit_at, firm_rig, move, restarted
from tbot.domain.messages import AccountUpdate, CloseContract, FeedIn, OperatorIn, PlaceBracket, Query
from tbot.domain.timeframes import NS_PER_S
from tbot.execution.carry import CarryFold
from tbot.execution.desk import Carried, Desk
from tbot.risk.firm import FirmRules
from tbot.risk.limits import RiskLimits

FLOOR = 4_800_000
EIGHT_HOURS = 8 * 3_600  # 10:00 to 18:00 New York: past the end of the trading day


def firm(rig: Rig) -> dict:  # type: ignore[type-arg]
    return rig.view()["firm"]  # type: ignore[no-any-return]


def codes(rig: Rig) -> list[str]:
    return [reason["code"] for reason in rig.view()["reasons"]]


def next_day(rig: Rig, seconds: float = EIGHT_HOURS) -> Rig:
    """Time passes to the next trading day in one step, and the Desk settles."""
    rig.tick(seconds)
    rig.run(2)
    return rig


# ------------------------------------------------------------------------------------------------------ TR2 entries
@pytest.mark.parametrize(("above", "denied"), [(50_000, ["RC_MAX_LOSS"]), (50_001, [])])
def test_TR2_no_entries_at_500_above_the_floor(above: int, denied: list[str]) -> None:
    rig = firm_rig(FLOOR + above)
    rig.signal(1)
    assert rig.denials == denied


@pytest.mark.parametrize(("above", "size"), [(50_001, 5), (50_000 + 1, 5)])
def test_TR4_worst_case_fits_above_the_floor(above: int, size: int) -> None:
    """At 500.01 above the floor 200.01 are left before the lock: five contracts at 23.22 cost at most 116.10."""
    rig = firm_rig(FLOOR + above)
    rig.signal(1)
    assert [command.size for command in rig.broker.sent(PlaceBracket)] == [size]


@pytest.mark.parametrize(("worst", "size"), [(9_822, 2), (9_821, 1)])
def test_TR4_headroom_to_the_floor_shrinks_the_size(worst: int, size: int) -> None:
    """A stop 190 ticks away: (190 + 4) x 0.50 + 1.22 = 98.22 a contract. 196.44 are left, or a cent less."""
    rules = replace(RULES, lock_above_floor_cents=50_000 - 1)
    left = 2 * worst if size == 2 else 2 * 9_822 - 1
    rig = firm_rig(FLOOR + 49_999 + left, held=account(rules=replace(rules, ban_above_floor_cents=49_999)))
    rig.signal(1, stop_ticks=190, target_ticks=200)
    assert [command.size for command in rig.broker.sent(PlaceBracket)] == [size]


# --------------------------------------------------------------------------------------------------------- TR2 lock
def falling(balance: int, *, mute: bool = False, **changes: object) -> Rig:
    """Long 5 MNQ from 80 001 with 3.05 entry costs; the bid then stands 118 ticks lower: -295.00, exit costs 3.05."""
    rig = firm_rig(at=broker(balance_cents=balance, mute=mute), **changes)  # type: ignore[arg-type]
    rig.signal(1)
    assert rig.broker.size("MNQ") == 5
    move(rig, "MNQ", 2 - 118)  # bid = middle - 1
    return rig


@pytest.mark.parametrize(("cents", "state"), [(0, "LOCKED"), (1, "ACTIVE")])
def test_TR2_I12_equity_at_300_above_the_floor_flattens_and_locks(cents: int, state: str) -> None:
    rig = falling(FLOOR + 30_000 + 29_500 + 610 + cents)
    rig.tick()
    assert firm(rig)["to_floor_cents"] == (30_000 + cents if cents else firm(rig)["to_floor_cents"])
    rig.run(3)
    assert rig.state == state
    assert rig.broker.size("MNQ") == (5 if cents else 0)
    assert ("RC_MAX_LOSS" in codes(rig)) == (not cents)
    rig.signal(2)
    assert rig.denials == (["RC_MAX_LOSS"] if not cents else ["POSITION_OPEN"])


def test_TR2_I14_the_lock_is_recorded_before_the_first_close_and_survives_a_restart() -> None:
    rig = falling(FLOOR + 30_000 + 29_500)
    rig.tick()
    row = next(outputs for _, outputs in rig.rows if any(isinstance(out, CloseContract) for out in outputs))
    assert [type(out).__name__ for out in row][:2] == ["StateChange", "CloseContract"]
    rig.broker.balance_cents = S  # whatever the balance says afterwards
    move(rig, "MNQ", 0)
    fresh = restarted(rig, account(carried=carried(rig)))
    fresh.run(3)
    assert fresh.state == "LOCKED"
    assert "RC_MAX_LOSS" in codes(fresh)
    assert fresh.broker.size("MNQ") == 0


def test_TR2_what_is_not_ours_is_closed_too() -> None:
    rig = firm_rig(FLOOR + 30_000 + 29_500 + 610)
    rig.broker.place_foreign("MNQ", 1, 5)
    rig.pump()
    move(rig, "MNQ", 2 - 118)
    rig.run(3)
    assert (rig.state, rig.broker.size("MNQ")) == ("LOCKED", 0)


def test_TR2_a_flatten_that_a_crash_cut_short_goes_on_with_what_is_not_ours() -> None:
    rig = falling(FLOOR + 30_000 + 29_500)
    rig.broker.place_foreign("MES", 1, 1)
    rig.pump()
    rig.broker.silent = True
    rig.tick()
    rig.broker.silent = False
    kept = carried(rig)
    assert kept.reducing is not None
    assert kept.reducing[0] == "RC_MAX_LOSS"
    fresh = restarted(rig, account(carried=kept))
    fresh.run(4)
    assert (fresh.broker.size("MNQ"), fresh.broker.size("MES"), fresh.state) == (0, 0, "LOCKED")


def test_TR2_a_balance_that_lags_behind_a_loss_does_not_hide_it() -> None:
    """The stop fills at -250.00 and costs 6.10 in all; the broker tells the balance only in its next answer."""
    rig = firm_rig(at=broker(balance_cents=FLOOR + 50_600, mute=True))
    rig.signal(1)
    rig.broker.script["query"] = ["lose"] * 10
    exit_at(rig, "SL", price=80_001 - 100)
    assert firm(rig)["to_floor_cents"] == 50_600 - 25_000 - 610
    assert rig.view()["balance_cents"] == FLOOR + 50_600
    assert "RC_MAX_LOSS" in codes(rig)


def test_TR2_a_balance_below_our_own_sum_ends_entries_at_once_and_locks_when_it_is_confirmed() -> None:
    rig = firm_rig(FLOOR + 60_000)
    rig.feed(AccountUpdate(rig.now_ns, 1001, "PRAC-1", FLOOR + 30_000, True, True))
    rig.signal(1)
    assert (rig.denials, rig.state) == (["RC_MAX_LOSS"], "ACTIVE")
    rig.broker.balance_cents = FLOOR + 30_000
    rig.run(31, step=0.5)
    assert rig.state == "LOCKED"


@pytest.mark.parametrize("answers", [1, 2])
def test_TR2_F_ACC_05_nothing_is_closed_for_one_odd_balance(answers: int) -> None:
    rig = firm_rig(FLOOR + 60_000)
    rig.signal(1)
    rig.run(5.5)
    truth = rig.broker.balance_cents
    asked = len(rig.broker.sent(Query))
    rig.broker.balance_cents = 0
    while len(rig.broker.sent(Query)) < asked + answers:
        rig.tick()
    odd = [(rig.state, firm(rig)["equity_cents"] < FLOOR)]
    rig.broker.balance_cents = truth
    rig.run(6)
    assert odd == [("ACTIVE" if answers == 1 else "LOCKED", True)]
    assert (rig.state, rig.broker.size("MNQ")) == (("ACTIVE", 5) if answers == 1 else ("LOCKED", 0))


def test_TR2_the_lock_comes_back_on_the_next_day_while_equity_is_low() -> None:
    rig = next_day(firm_rig(FLOOR + 30_000))
    assert rig.state == "LOCKED"
    assert rig.view()["day"] == "2026-11-18"


@pytest.mark.parametrize("seed", range(8))
def test_TR2_I12_on_a_random_walk_the_lock_comes_exactly_when_equity_touches_it(seed: int) -> None:
    """Nobody fills the stop (a halt, a gap); equity is reckoned here from prices alone, at every tick."""
    random = Random(seed)
    side, start = random.choice([1, -1]), FLOOR + 30_000 + random.randrange(25_000, 40_000)
    rig = firm_rig(start)
    rig.signal(1, side=side)
    entry = rig.broker.fills[0]
    ended = False
    for _ in range(150):
        rig.prices["MNQ"] += side * random.choice([-21, -13, -4, 9, 14, 14])
        mark = rig.prices["MNQ"] - side  # bid of a long position, ask of a short one
        equity = start - entry.size * 61 + side * entry.size * (mark - entry.price) * 50 - entry.size * 61
        rig.tick()
        ended = equity <= FLOOR + 30_000
        assert ("RC_MAX_LOSS" in codes(rig)) == ended
        if ended:
            break
    rig.run(3)
    assert (rig.state, rig.broker.size("MNQ")) == (("LOCKED", 0) if ended else ("ACTIVE", side * entry.size))


@pytest.mark.parametrize("balance", [10_000_000, 2_500_000])
def test_F_ACC_04_rules_of_another_size_halt_the_account_and_close_nothing(balance: int) -> None:
    rig = firm_rig(balance)
    rig.broker.place_foreign("MNQ", 1, 1)
    rig.pump()
    rig.run(6)
    assert (rig.state, codes(rig)[0]) == ("HALTED", "RC_CONFIG")
    assert (rig.broker.size("MNQ"), firm(rig)["known"]) == (1, False)
    rig.operator("resume")
    rig.run(31, step=1)
    assert rig.state == "HALTED"


# ------------------------------------------------------------------------------------------------------ TR2 ratchet
def test_TR2_the_ratchet_moves_when_the_trading_day_ends_and_not_before() -> None:
    rig = firm_rig()
    rig.signal(1)
    exit_at(rig, "TP")  # 5 x 80 x 0.50 - 6.10
    rig.run(10)
    gain = 20_000 - 610
    assert (firm(rig)["floor_cents"], firm(rig)["high_water_cents"]) == (FLOOR, S)
    assert (firm(rig)["equity_cents"], firm(rig)["profit_cents"]) == (S + gain, gain)
    rig.broker.script["query"] = ["lose"] * 10  # it needs no answer for that
    next_day(rig)
    assert firm(rig)["floor_cents"] == FLOOR + gain
    assert (firm(rig)["best_day_cents"], firm(rig)["traded_days"]) == (gain, 1)
    rig.broker.script.clear()
    next_day(rig, 86_400)
    assert (firm(rig)["floor_cents"], firm(rig)["traded_days"]) == (FLOOR + gain, 1)


def history(at_balance: int, *days: tuple[int, int]) -> Rig:
    made = broker(balance_cents=at_balance)
    for days_ago, net in days:
        made.past_day(days_ago, net)
    return firm_rig(at=made)


def test_TR2_the_floor_is_rebuilt_from_sixty_days_of_fills() -> None:
    """The worked example again, told by the broker's fills: closings 50 500, 50 000, 52 500."""
    rig = history(5_250_000, (4, 50_000), (3, -50_000), (2, 250_000))
    assert (firm(rig)["floor_cents"], firm(rig)["floor_locked"], firm(rig)["known"]) == (S, True, True)
    assert (firm(rig)["best_day_cents"], firm(rig)["traded_days"]) == (250_000, 3)
    # 2 500.00 are more than 55 % of 3 000.00: 4 545.46 are wanted.
    assert (firm(rig)["target_cents"], firm(rig)["profit_cents"]) == (454_546, 250_000)
    day_start = START_NS - 16 * 3_600 * NS_PER_S  # 17:00 Chicago = 18:00 New York of the evening before
    rig.run(40)
    since = [query.since_ns for query in rig.broker.sent(Query)]
    assert since[0] == day_start - 60 * DAY_NS
    assert len(since) > 1
    assert set(since[1:]) == {day_start}


def test_TR2_history_is_no_business_of_today() -> None:
    """Neither round trips nor losses in a row nor results of earlier days appear in the day or in the run."""
    rig = history(S - 60_000, (1, -30_000), (2, -30_000))
    view = rig.view()
    assert rig.state == "ACTIVE"
    assert (view["trades"], view["day_pnl_cents"], view["pnl_cents"], view["loss_streak"]) == (0, 0, 0, 0)
    assert round_trips(rig) == []
    assert rig.desk.is_flat(1001)
    assert firm(rig)["high_water_cents"] == S


def test_TR2_a_late_correction_of_an_earlier_day_still_counts() -> None:
    made = broker(balance_cents=S + 90_000)
    made.past_day(2, 90_000)
    rig = firm_rig(at=made)
    assert firm(rig)["high_water_cents"] == S + 90_000
    old = made.fills[-1]
    rig.feed(replace(old, pnl_cents=old.pnl_cents - 10_000))  # type: ignore[operator]
    made.balance_cents -= 10_000
    rig.run(31, step=1)
    assert firm(rig)["high_water_cents"] == S + 80_000
    assert firm(rig)["best_day_cents"] == 80_000


def test_TR2_an_expired_month_counts_by_the_brokers_figure() -> None:
    made = broker(balance_cents=S + 50_000)
    made.past_day(40, 50_000, "CON.F.US.MNQ.U26")
    assert firm(firm_rig(at=made))["floor_cents"] == FLOOR + 50_000


@pytest.mark.parametrize("lost", ["journal", "fills", "nothing"])
def test_TR2_I14_the_ratchet_survives_a_restart_without_journal_or_without_fills(lost: str) -> None:
    rig = firm_rig()
    rig.signal(1)
    exit_at(rig, "TP")
    next_day(rig)
    rig.signal(2)
    exit_at(rig, "SL")
    next_day(rig, 86_400)
    assert carried(rig).closings == (
        ("2026-11-17", S + 19_390), ("2026-11-18", S + 19_390 - 10_610), ("2026-11-19", S + 8_780),
    )  # fmt: skip
    if lost == "fills":
        rig.broker.fills.clear()
    kept = Carried() if lost == "journal" else carried(rig)
    fresh = restarted(rig, account(carried=kept))
    fresh.run(6)
    assert (firm(fresh)["floor_cents"], firm(fresh)["high_water_cents"]) == (FLOOR + 19_390, S + 19_390)
    assert firm(fresh)["traded_days"] == {"journal": 2, "fills": 1, "nothing": 2}[lost]


def test_TR2_the_floor_that_the_owner_states_counts_when_it_is_higher() -> None:
    assert firm(firm_rig(held=account(floor_cents=4_912_345)))["floor_cents"] == 4_912_345
    assert firm(firm_rig(S + 50_000, held=account(floor_cents=FLOOR)))["floor_cents"] == FLOOR + 50_000


def test_TR2_nothing_is_entered_before_the_past_is_known() -> None:
    rig = Rig(settings=firm_rig().settings, broker=broker(query_complete=False)).start()
    rig.feed(FeedIn(rig.now_ns, "MNQ", "ok"))
    rig.run(2)
    assert (firm(rig)["known"], firm(rig)["floor_cents"], rig.state) == (False, None, "RECONCILING")
    rig.broker.query_complete = True
    rig.run(6)
    assert (firm(rig)["known"], rig.state) == (True, "ACTIVE")
    assert rig.broker.sent(Query)[0].since_ns < START_NS - 60 * DAY_NS


def test_TR2_an_unsettled_answer_does_not_move_the_ratchet() -> None:
    """A loss fills between the broker's reading of balance and of fills: the phantom high is not believed."""
    rig = firm_rig()
    rig.signal(1)
    rig.run(5)
    rig.broker.script["query"] = ["keep"]
    rig.run(5)
    (answer,) = rig.broker.kept
    fill = exit_at(rig, "SL")
    rig.feed(replace(answer, fills=(*answer.fills, fill), positions=()))
    assert firm(rig)["high_water_cents"] == S
    rig.run(6)
    assert firm(rig)["high_water_cents"] == S
    assert firm(rig)["equity_cents"] == S - 10_610


# -------------------------------------------------------------------------------------------------------------- TR6
@pytest.mark.parametrize(("cents", "state"), [(0, "LOCKED"), (1, "ACTIVE")])
def test_TR6_day_profit_locks_and_leaves_open_positions_to_their_exits(cents: int, state: str) -> None:
    rules = replace(RULES, day_profit_stop_cents=20_000 - 610 - 305 + cents)
    rig = firm_rig(held=account(rules=rules))
    rig.signal(1, "MES", stop_ticks=16)
    rig.run(6)
    rig.signal(1)
    exit_at(rig, "TP")
    rig.run(3)
    assert rig.view()["day_pnl_cents"] == 20_000 - 610 - 305
    assert rig.state == state
    assert rig.broker.size("MES") == 5
    assert not rig.broker.sent(CloseContract)
    rig.run(4)
    rig.signal(2)
    assert rig.denials == ([] if cents else ["RC_DAY_PROFIT"])


def test_TR6_floating_profit_does_not_lock() -> None:
    rig = firm_rig(held=account(rules=replace(RULES, day_profit_stop_cents=5_000)))
    rig.signal(1)
    move(rig, "MNQ", 70)
    rig.run(2)
    assert rig.view()["unrealised_cents"] > 5_000
    assert rig.state == "ACTIVE"


# ------------------------------------------------------------------------------------------------------------- TR11
@pytest.mark.parametrize(("balance", "state"), [(5_299_999, "ACTIVE"), (5_300_000, "HALTED")])
def test_TR11_the_target_halts_to_the_cent_until_a_person_moves_on(balance: int, state: str) -> None:
    rig = history(balance, (3, 150_000), (2, balance - S - 150_000))
    assert rig.state == state
    if state == "HALTED":
        assert codes(rig) == ["RC_TARGET"]
        rig.operator("resume")
        rig.run(2)
        assert rig.state == "HALTED"
        assert restarted(rig, account(carried=carried(rig))).state == "HALTED"


@pytest.mark.parametrize(("balance", "state"), [(5_363_636, "ACTIVE"), (5_363_637, "HALTED")])
def test_TR11_one_day_above_55_percent_raises_the_target(balance: int, state: str) -> None:
    """Best day 2 000.00 / 0.55 = 3 636.36...: 3 636.37 pass."""
    assert history(balance, (3, 200_000), (2, balance - S - 200_000)).state == state


def test_TR11_today_counts_as_the_best_day_too() -> None:
    """3 000.00 at once: 50 % over two days would have passed, all in one day asks for 5 454.55."""
    rig = firm_rig(held=account(rules=replace(RULES, target_cents=15_000, day_profit_stop_cents=0)))
    rig.signal(1)
    exit_at(rig, "TP")
    rig.run(2)
    assert firm(rig)["profit_cents"] == 19_390
    assert firm(rig)["target_cents"] == 35_255  # 193.90 / 0.55 = 352.54...
    assert rig.state == "ACTIVE"


def test_TR11_with_an_open_loser_it_waits_and_enters_nothing() -> None:
    """Closed trades have made the target; closing everything now would lose it again, so only entries end."""
    rules = replace(RULES, target_cents=60_000, day_profit_stop_cents=0)
    rig = firm_rig(at=_made(55_000), held=account(rules=rules))
    rig.signal(1, "MES", stop_ticks=16)
    rig.run(6)
    rig.signal(1)
    move(rig, "MES", -24)
    rig.tick()
    exit_at(rig, "TP")
    rig.run(2)
    assert firm(rig)["profit_cents"] >= firm(rig)["target_cents"]
    assert (rig.state, rig.broker.size("MES")) == ("ACTIVE", 5)
    rig.run(4)
    rig.signal(2)
    assert rig.denials == ["RC_TARGET"]
    move(rig, "MES", 4)
    rig.run(3)
    assert (rig.state, rig.broker.size("MES")) == ("HALTED", 0)


def _made(cents: int):  # type: ignore[no-untyped-def]
    made = broker(balance_cents=S + cents)
    for days_ago in (2, 3):
        made.past_day(days_ago, cents // 2)
    return made


def test_TR11_a_funded_account_has_no_target() -> None:
    rules = FirmRules(
        stage="funded", start_cents=0, target_cents=0, day_profit_stop_cents=0, scaling=((0, 20), (150_000, 30))
    )
    rig = firm_rig(900_000, held=account(rules=rules))
    assert (rig.state, firm(rig)["target_cents"], firm(rig)["floor_cents"]) == ("ACTIVE", 0, 0)


# -------------------------------------------------------------------------------------------------------- TR5, view
def test_TR5_the_scaling_step_rises_only_with_the_next_day() -> None:
    rules = FirmRules(
        stage="funded", start_cents=0, target_cents=0, day_profit_stop_cents=0, scaling=((0, 3), (10_000, 30))
    )
    rig = firm_rig(0, held=account(rules=rules))
    rig.signal(1)
    exit_at(rig, "TP")  # 3 x 80 x 0.50 - 3.66 = 116.34
    rig.run(6)
    rig.signal(2)
    exit_at(rig, "TP")
    assert firm(rig)["max_micros"] == 3
    next_day(rig)
    assert firm(rig)["max_micros"] == 30
    rig.signal(3)
    assert [command.size for command in rig.broker.sent(PlaceBracket)] == [3, 3, 5]


def test_view_without_a_firm_has_no_firm() -> None:
    rig = firm_rig(held=account(rules=None))
    assert (firm(rig), rig.view()["caps"], rig.view()["day_room_cents"]) == (None, [], 80_000)
    before = Desk(rig.settings)
    assert before.view()["accounts"]["1001"]["firm"] is None  # type: ignore[index]
    assert Desk(firm_rig().settings).view()["accounts"]["1001"]["firm"] is None  # type: ignore[index]


# ------------------------------------------------------------------------------------------------------------ other
def test_TR10_moved_stops_wait_for_the_budget_of_order_actions() -> None:
    limits = RiskLimits(break_even_percent=50)
    for most, moves in ((1, 0), (2, 1)):
        rig = firm_rig(held=account(rules=replace(RULES, actions_per_minute=most)), limits=limits)
        rig.signal(1)
        move(rig, "MNQ", 60)
        rig.run(3)
        assert len([command for command in rig.broker.wire if type(command).__name__ == "ModifyStop"]) == moves
        rig.run(62, step=1)
        assert len([command for command in rig.broker.wire if type(command).__name__ == "ModifyStop"]) == 1


def test_I15_a_replay_gives_the_same_digest_with_the_firms_rules() -> None:
    rig = history(S + 40_000, (5, 60_000), (2, -20_000))
    rig.signal(1)
    exit_at(rig, "TP")
    next_day(rig)
    other = Desk(rig.settings)
    for item, outputs in rig.rows:
        assert other.handle(item) == outputs
    assert other.digest() == rig.desk.digest()
    assert Desk(firm_rig(held=account(rules=None)).settings).digest() != Desk(rig.settings).digest()


def test_F_ACC_02_what_a_stranger_holds_in_a_product_that_nobody_knows_is_not_valued() -> None:
    """Its ticks are not known here; it leaves no room for entries either (R10)."""
    rig = firm_rig()
    rig.broker.price["CON.F.US.XYZ.Z26"] = 7_000
    rig.broker.place_foreign("CON.F.US.XYZ.Z26", 1, 1)
    rig.pump()
    rig.run(200, step=1)
    assert rig.view()["unrealised_cents"] == 0
    rig.signal(1)
    assert rig.denials == ["RC_DAILY_LOSS"]


def test_TR2_a_new_journal_file_begins_with_what_the_old_one_knew() -> None:
    fold = CarryFold()
    told = Carried(closings=(("2026-11-12", S + 70_000), ("2026-11-13", S)))
    fold.begin(1001, told)
    assert fold.carried(1001).closings == told.closings
    for item, outputs in firm_rig().rows:
        fold.add(item, outputs)
    assert fold.carried(1001).closings == (*told.closings, ("2026-11-17", S))


def test_a_persons_request_for_another_account_carries_nothing_here() -> None:
    rig = firm_rig()
    rig.operator("stop")
    rig.rows.append((OperatorIn(rig.now_ns, "pause", 1002), []))
    assert carried(rig).reasons == ()
    rig.rows.append((OperatorIn(rig.now_ns, "pause", 1001), []))
    assert [code for code, _ in carried(rig).reasons] == ["RC_OPERATOR"]
