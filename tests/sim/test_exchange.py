"""The venue's rules: codes, texts, brackets, hours, limits and locks, all on hand-made ticks."""

from datetime import date
from decimal import Decimal

import pytest

from sim_rig import DAY_NS, ES, MNQ, OWNER, ExchangeRig
from tbot.domain.timeframes import NS_PER_MIN
from tbot.domain.trading_hours import SessionCalendar
from tbot.execution.fill_model import FillSettings
from tbot.gateway.codec import BrokerAccount
from tbot.sim.accounts import AccountRules
from tbot.sim.exchange import NOT_TRADING, Answer
from tbot.sim.orders import ModifyFields
from tbot.sim.views import event_record
from tbot.storage.sessions import load_sessions

MARKET, LIMIT, STOP, TRAILING, STOP_LIMIT, JOIN_BID, JOIN_ASK = 2, 1, 4, 5, 3, 6, 7
FIRST = 3_000_000_000


# ------------------------------------------------------------------------------------------------------------- orders
def test_bracket_entry_fills_at_the_ask_and_its_legs_wake() -> None:
    rig = ExchangeRig()
    answer = rig.place(tag="t", stop_ticks=-40, target_ticks=80)
    assert answer == Answer(0, None, FIRST)
    assert rig.told() == ["stop suspended", "market pending", "limit suspended"]
    rig.play(("trade", 1001, 1, 1))
    assert rig.told() == [
        "market filled",
        "fill +1@1002",
        "position +1",
        "limit open",
        "stop open",
        "account 4999939 True",
    ]
    orders = rig.account.book.orders
    assert (orders[FIRST + 1].stop, orders[FIRST + 2].limit) == (962, 1082)


def test_a_market_order_in_a_silent_market_fills_at_the_standing_quote() -> None:
    rig = ExchangeRig()
    rig.place()
    rig.exchange.advance(rig.now_ns + 1)
    assert "fill +1@1002" in rig.told()


@pytest.mark.parametrize(
    ("request_fields", "code", "text"),
    [
        ({"account": 9}, 1, None),
        ({"contract_id": "CON.F.US.ZZZ.Z26"}, 8, None),
        ({"contract_id": "nonsense"}, 8, None),
        ({"contract_id": "CON.F.US.MNQ.U26"}, 9, None),
        ({"stop_ticks": 40}, 2, "Invalid stop loss ticks (40). Ticks should be less than zero when longing."),
        (
            {"side": 1, "target_ticks": 50},
            2,
            "Invalid take profit ticks (50). Ticks should be less than zero when going short.",
        ),
        (
            {"side": 1, "stop_ticks": -50},
            2,
            "Invalid stop loss ticks (-50). Stop loss tick value should be at least 4 ticks.",
        ),
        ({"stop_ticks": -40, "stop_type": 1}, 2, "Invalid stop loss type (Limit)"),
        ({"order_type": STOP, "side": 1, "stop_price": "250.1"}, 2, "Price is not aligned to tick size."),
        ({"order_type": LIMIT, "limit_price": "250.1"}, 2, "Price is not aligned to tick size."),
        ({"order_type": TRAILING}, 2, "Trail Distance not set."),
        ({"order_type": TRAILING, "trail_price": "250.1"}, 2, "Invalid trail price. Price is not aligned"),
        ({"order_type": TRAILING, "side": 1, "trail_price": "0.25"}, 2, None),
        ({"order_type": STOP, "side": 1, "stop_price": "250.25"}, 2, "must be below the last price"),
        ({"order_type": STOP_LIMIT}, 2, "Invalid order type (StopLimit)"),
        ({"order_type": LIMIT}, 2, "Price is not set"),
        ({"size": 0}, 2, "Invalid size"),
        ({"side": 2}, 2, "Invalid order side"),
        ({"size": 51}, 2, "Maximum position exceeded"),
    ],
)
def test_F_ORD_03_documented_refusals(request_fields: dict[str, object], code: int, text: str | None) -> None:
    rig = ExchangeRig()
    answer = rig.place(**request_fields)  # type: ignore[arg-type]
    if request_fields.get("trail_price") == "0.25":  # 1000 ticks is the longest distance, this is exactly that
        assert answer.code == 0
        return
    assert answer.code == code
    assert text is None or text in (answer.text or "")
    recorded = rig.account.book.orders
    assert [order.status for order in recorded.values()] == (["rejected"] if code == 2 else [])
    assert answer.order_id == (FIRST if code == 2 else None)


def test_a_trail_distance_over_1000_ticks_is_refused_on_place() -> None:
    rig = ExchangeRig()
    rig.play(("trade", 1002, 1, 1))
    assert rig.place(order_type=TRAILING, side=1, trail_price="0.25").text == "Trail Distance exceeds maximum (1000)"


def test_a_trailing_stop_keeps_the_distance_from_the_last_trade() -> None:
    rig = ExchangeRig()
    rig.place(order_type=TRAILING, side=1, trail_price="249.00")  # 996, last 1001: distance 5
    order = rig.account.book.orders[FIRST]
    assert (order.trail, order.stop) == (5, 996)
    rig.play(("trade", 1010, 1, 1))
    assert order.stop == 1005


def test_join_orders_rest_at_the_best_price() -> None:
    rig = ExchangeRig()
    rig.place(order_type=JOIN_BID)
    rig.place(order_type=JOIN_ASK, side=1)
    assert [order.limit for order in rig.account.book.orders.values()] == [1000, 1002]


def test_F_ORD_03_a_used_tag_is_refused_for_ever_and_not_recorded_twice() -> None:
    rig = ExchangeRig()
    rig.place(tag="x", stop_ticks=40)  # rejected, and still uses the tag up
    assert rig.place(tag="x") == Answer(2, "Specified custom tag is already in use", None)
    assert len(rig.account.book.orders) == 1


def test_position_brackets_mode_refuses_brackets() -> None:
    rig = ExchangeRig(rules=AccountRules(auto_oco=False))
    text = "Brackets cannot be used with Position Brackets. You must enable Auto OCO Brackets."
    assert rig.place(stop_ticks=-40) == Answer(2, text, FIRST)


def test_a_contract_without_any_price_is_an_invalid_symbol() -> None:
    rig = ExchangeRig()
    state = rig.exchange.states["ES"]
    state.bid = state.ask = state.last = None
    assert rig.place(ES).text == "Invalid symbol"


def test_modify_moves_one_leg_and_leaves_the_other() -> None:
    rig = ExchangeRig()
    rig.place(tag="t", stop_ticks=-40, target_ticks=80)
    early = ModifyFields(rig.account.account_id, FIRST + 1, stop_price=Decimal("240"))
    assert rig.exchange.modify(OWNER, early, rig.now_ns).code == 3  # suspended: it has no price yet
    rig.play(("trade", 1001, 1, 1))
    assert rig.exchange.modify(OWNER, early, rig.now_ns).code == 0
    orders = rig.account.book.orders
    assert (orders[FIRST + 1].stop, orders[FIRST + 2].limit) == (960, 1082)
    for price, code in (("250.1", 3), ("260", 3)):
        fields = ModifyFields(rig.account.account_id, FIRST + 1, stop_price=Decimal(price))
        assert rig.exchange.modify(OWNER, fields, rig.now_ns).code == code
    assert rig.exchange.modify(OWNER, ModifyFields(rig.account.account_id, 5), rig.now_ns).code == 2
    assert rig.exchange.modify(OWNER, ModifyFields(9, FIRST), rig.now_ns).code == 1


def test_cancel_codes() -> None:
    rig = ExchangeRig()
    rig.place(order_type=LIMIT, limit_price="200")
    cancel = rig.exchange.cancel
    assert cancel(OWNER, 9, FIRST, rig.now_ns).code == 1
    assert cancel(OWNER, rig.account.account_id, 5, rig.now_ns).code == 2
    assert cancel(OWNER, rig.account.account_id, FIRST, rig.now_ns).code == 0
    assert cancel(OWNER, rig.account.account_id, FIRST, rig.now_ns).code == 3


def test_close_and_partial_close_have_their_own_codes() -> None:
    rig = ExchangeRig()
    account = rig.account.account_id
    assert rig.exchange.close(OWNER, 9, MNQ, rig.now_ns).code == 1
    assert rig.exchange.close(OWNER, account, MNQ, rig.now_ns).code == 2
    assert rig.exchange.close(OWNER, account, "CON.F.US.ZZZ.Z26", rig.now_ns).code == 3
    assert rig.exchange.close(OWNER, account, "CON.F.US.MNQ.H27", rig.now_ns).code == 4
    rig.place(size=3)
    rig.play(("trade", 1001, 1, 1))
    for size in (0, 4):
        assert rig.exchange.partial_close(OWNER, account, MNQ, size, rig.now_ns).code == 5
    assert rig.exchange.partial_close(OWNER, account, MNQ, 1, rig.now_ns).code == 0
    rig.play(("trade", 1001, 1, 1))
    assert rig.account.book.size("MNQ") == 2
    assert rig.exchange.close(OWNER, account, MNQ, rig.now_ns).code == 0
    rig.play(("trade", 1001, 1, 1))
    assert rig.account.book.size("MNQ") == 0


def test_accounts_of_other_users_do_not_exist_for_me() -> None:
    rig = ExchangeRig()
    other = rig.exchange.add_account("Other", "x")
    assert rig.place(account=other.account_id).code == 1
    assert [account.account_id for account in rig.exchange.accounts_of("Other")] == [other.account_id]


# -------------------------------------------------------------------------------------------------------------- rules
def test_size_limit_counts_minis_as_ten_and_lets_positions_shrink() -> None:
    rig = ExchangeRig(rules=AccountRules(max_micros=50))
    assert rig.place(ES, size=4).code == 0
    rig.play(("trade", 20_000, 1, 1), symbol="ES")
    assert rig.place(MNQ, size=11).text == "Maximum position exceeded."
    assert rig.place(MNQ, size=10).code == 0  # waits for a tick and counts already
    assert rig.place(MNQ, size=1).text == "Maximum position exceeded."
    assert rig.place(ES, side=1, size=4).code == 0


def test_touching_the_maximum_loss_closes_everything_and_locks_for_good() -> None:
    rig = ExchangeRig(settings=FillSettings(0, 0))
    rig.place(ES, size=4)
    rig.play(("trade", 20_000, 1, 1), symbol="ES")
    rig.place(order_type=LIMIT, limit_price="100")
    # 4 ES, 50 USD a tick: entry 20001, costs 4 x 1.89 = 7.56; at a bid of 19962 the loss is 1950 + 7.56
    rig.play(("quote", 19_962, 19_963), symbol="ES")
    assert rig.account.can_trade
    rig.play(("quote", 19_961, 19_962), symbol="ES")
    assert not rig.account.can_trade
    assert rig.account.book.holdings() == []
    assert rig.account.book.living_orders() == []
    assert rig.account.book.balance_cents == 5_000_000 - 40 * 4 * 1250 - 8 * 189
    assert rig.place().code == 4
    rig.now_ns += 24 * 60 * NS_PER_MIN
    rig.play(("trade", 1001, 1, 1))
    assert not rig.account.can_trade


def test_daily_loss_locks_until_the_next_trading_day() -> None:
    rig = ExchangeRig(rules=AccountRules(daily_loss_cents=50_000), settings=FillSettings(0, 0))
    rig.place(ES, size=2)
    rig.play(("trade", 20_000, 1, 1), symbol="ES")
    rig.play(("quote", 19_980, 19_981), symbol="ES")
    assert not rig.account.can_trade
    assert rig.told()[-1].endswith("False")
    rig.now_ns += 24 * 60 * NS_PER_MIN
    rig.play(("trade", 1001, 1, 1))
    assert rig.account.can_trade
    assert rig.told()[-1].endswith("True")


def test_the_loss_floor_trails_the_end_of_day_balance_and_stops_at_the_start() -> None:
    """The worked example of topstep-rules 2.1."""
    account = ExchangeRig().account
    floors = []
    for balance in (5_050_000, 5_000_000, 5_250_000, 5_300_000):
        account.book.balance_cents = balance
        account.begin_day(date(2026, 11, 20))
        floors.append(account.floor_cents())
    assert floors == [4_850_000, 4_850_000, 5_000_000, 5_000_000]


# -------------------------------------------------------------------------------------------------------------- hours
def calendar() -> SessionCalendar:
    return SessionCalendar(load_sessions(), template_ok=True)


def test_orders_outside_the_hours_are_refused_in_the_venues_words() -> None:
    rig = ExchangeRig(hours=calendar())
    assert rig.place().code == 0
    rig.play(("trade", 1001, 1, 1))
    rig.place(order_type=LIMIT, limit_price="200")
    rig.now_ns = DAY_NS + 371 * NS_PER_MIN  # 15:11 in Chicago
    assert rig.place().text == NOT_TRADING
    assert rig.exchange.close(OWNER, rig.account.account_id, MNQ, rig.now_ns).code == 5
    assert rig.exchange.partial_close(OWNER, rig.account.account_id, MNQ, 1, rig.now_ns).code == 6
    rig.exchange.advance(rig.now_ns)
    assert rig.account.book.holdings() == []  # the venue flattens by itself
    assert rig.account.book.living_orders() == []


def test_without_hours_it_trades_on_a_sunday_morning() -> None:
    rig = ExchangeRig()
    rig.now_ns += 2 * 24 * 60 * NS_PER_MIN
    assert rig.place().code == 0


# -------------------------------------------------------------------------------------------------------------- ticks
def test_quiet_contracts_only_move_on_and_busy_ones_see_every_tick() -> None:
    rig = ExchangeRig()
    rig.place(order_type=LIMIT, limit_price="245")  # 980
    rows = [("trade", price, 1, 1) for price in (990, 979, 990)]  # only the middle trade goes through
    rig.play(*rows)
    assert "fill +1@980" in rig.told()
    rig.play(("quote", 1100, 1101), ("quote", 1200, 1201), ("trade", 1150, 1, 1), symbol="ES")
    state = rig.exchange.states["ES"]
    assert (state.bid, state.ask, state.last) == (1200, 1201, 1150)


def test_each_account_event_tells_the_balance_of_its_moment() -> None:
    rig = ExchangeRig()
    rig.place(tag="a")
    rig.place(tag="b", size=2)
    rig.told()
    rig.play(("trade", 1001, 1, 1))  # both fill before anybody is told
    events = [event_record(event, rig.exchange.contracts) for event in rig.exchange.drain()]
    balances = [record.balance_cents for record in events if isinstance(record, BrokerAccount)]
    assert balances == [5_000_000 - 61, 5_000_000 - 3 * 61]
