"""Whatever is asked of the venue, by clients, people or fault plans, its books stay right: against slow references."""

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from sim_rig import MNQ, OWNER
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Fill
from tbot.execution.book_types import FINAL, Holding, Order
from tbot.execution.matching import ALWAYS
from tbot.sim.accounts import AccountRules
from tbot.sim.orders import ModifyFields
from tbot.sim.venue_faults import BracketKind
from venue_rig import FIRST, S, VenueRig

START = 5_000_000
RICH = AccountRules(max_loss_cents=4_900_000, max_micros=10_000)
KINDS: tuple[BracketKind, ...] = (
    "drop", "reject", "wrong_size", "wrong_price", "wrong_side", "suspended", "cancel_later", "no_oco"
)  # fmt: skip

side, size, number = st.sampled_from([0, 1]), st.integers(1, 5), st.integers(0, 25)
delay = st.sampled_from([0, 1, S, 5 * S])
parts = st.lists(st.integers(1, 3), max_size=4)
STEPS = st.one_of(
    st.tuples(st.just("tick"), st.integers(900, 1100), st.integers(0, 5)),
    st.tuples(st.just("tick"), st.integers(980, 1020), st.integers(0, 5)),
    st.tuples(st.just("tick"), st.sampled_from([960, 985, 1000, 1015, 1040]), st.just(1)),
    st.tuples(st.just("tick"), st.sampled_from([975, 995, 1000, 1005, 1025]), st.just(2)),
    st.tuples(st.just("wait"), delay, st.just(0)),
    st.tuples(st.just("bracket"), side, size),
    st.tuples(st.just("bracket"), side, size),
    st.tuples(st.just("limit"), side, st.integers(950, 1050)),
    st.tuples(st.just("stop"), side, st.integers(950, 1050)),
    st.tuples(st.just("trail"), side, st.integers(950, 1050)),
    st.tuples(st.just("same tag"), side, size),
    st.tuples(st.just("cancel"), number, st.just(0)),
    st.tuples(st.just("modify size"), number, size),
    st.tuples(st.just("modify price"), number, st.integers(950, 1050)),
    st.tuples(st.just("close"), size, st.booleans()),
    st.tuples(st.just("partial"), parts, st.lists(delay, max_size=3)),
    st.tuples(st.just("bracket in parts"), side, parts),
    st.tuples(st.just("bracket in parts"), side, parts),
    st.tuples(st.just("close in parts"), parts, st.lists(delay, max_size=3)),
    st.tuples(st.just("race"), delay, st.sampled_from([None, 1, 2])),
    st.tuples(st.just("slow"), delay, st.just(0)),
    st.tuples(st.just("broken"), st.sampled_from(KINDS), st.sampled_from(["sl", "tp", "both"])),
    st.tuples(st.just("slip"), st.integers(-2, 9), st.just(0)),
    st.tuples(st.just("late"), st.sampled_from(["never", "late"]), delay),
    st.tuples(st.just("reject"), st.booleans(), st.just(0)),
    st.tuples(st.just("human"), side, size),
    st.tuples(st.just("human cancel"), st.sampled_from(["stops", "targets", "entries", "all"]), st.just(0)),
    st.tuples(st.just("human flatten"), st.booleans(), st.just(0)),
    st.tuples(st.just("orphan"), st.sampled_from(["entry", "leg", "suspended"]), side),
    st.tuples(st.just("lock"), side, size),
    st.tuples(st.just("liquidate"), st.just(0), st.just(0)),
    st.tuples(st.just("halt"), delay, st.just(0)),
    st.tuples(st.just("roll"), st.integers(-50, 50), st.just(0)),
    st.tuples(st.just("clear"), st.just(0), st.just(0)),
)


# Long stories in most examples: short ones are all set-up and no fill.
def stories(most: int) -> st.SearchStrategy[list[tuple[str, Any, Any]]]:
    return st.one_of(st.lists(STEPS, max_size=8), *[st.lists(STEPS, min_size=most // 2, max_size=most)] * 3)


def _price(ticks: int) -> str:
    return str(PRODUCTS["MNQ"].to_price(ticks))


class Story:
    """Plays steps on a venue; remembers which orders a fault or a client has made special."""

    def __init__(self) -> None:
        self.rig = VenueRig(rules=RICH)
        self.broken = False  # bracket faults were asked for: their legs may be anything
        self.resized: set[int] = set()  # orders whose size the client changed
        self.told: list[Any] = []

    def act(self, index: int, name: str, first: Any, second: Any) -> None:
        rig, controls, account = self.rig, self.rig.controls, self.rig.account_id
        contract = rig.exchange.contracts["MNQ"].broker_id
        if name == "tick":
            rig.now_ns += S // 3
            rig.quote(first - second // 2, first + 1 + second // 2)
            rig.trade(first)
        elif name == "wait":
            rig.wait(first)
        elif name.startswith("bracket"):
            away = 1 - 2 * first
            if name == "bracket in parts":
                controls.partial(second, [S // 2] * len(second))
                second = 5
            rig.place(contract, side=first, size=second, tag=f"b{index}", stop_ticks=-20 * away, target_ticks=30 * away)
        elif name == "limit":
            rig.place(contract, 1, first, 1 + second % 4, limit_price=_price(second), tag=f"l{index}")
        elif name == "stop":
            away = 1 - 2 * first
            rig.place(
                contract, 4, first, 1 + second % 4, stop_price=_price(second), tag=f"s{index}", stop_ticks=-8 * away
            )
        elif name == "trail":
            rig.place(contract, 5, first, 2, trail_price=_price(second), tag=f"t{index}")
        elif name == "same tag":
            rig.place(contract, side=first, size=second, tag="again")
        elif name == "cancel":
            rig.cancel(FIRST + first)
        elif name == "modify size":
            self.resized.add(FIRST + first)
            rig.exchange.modify(OWNER, ModifyFields(account, FIRST + first, size=second), rig.now_ns)
        elif name == "modify price":
            to = Decimal(_price(second))
            rig.exchange.modify(OWNER, ModifyFields(account, FIRST + first, None, to, to, to), rig.now_ns)
        elif name == "close" and second:
            rig.close(contract)
        elif name == "close":
            rig.exchange.partial_close(OWNER, account, contract, first, rig.now_ns)
        elif name == "partial":
            controls.partial(first, second)
        elif name == "close in parts":
            controls.partial(first, second, call="close")
        elif name == "race":
            controls.cancel_race(first, second)
        elif name == "slow":
            controls.cancel_slow(first)
        elif name == "broken":
            self.broken = True
            controls.bracket(first, second, size=2, ticks=3, after_ns=S)
        else:
            self.people_and_firm(name, first, second)

    def people_and_firm(self, name: str, first: Any, second: Any) -> None:
        rig, controls, account = self.rig, self.rig.controls, self.rig.account_id
        if name == "slip":
            controls.slip(first)
        elif name == "late":
            controls.place_outcome(first, second)
        elif name == "reject":
            controls.reject(2, "no", with_id=first)
        elif name == "human":
            controls.human_trade(account, "MNQ", 1 - 2 * first, second, rig.now_ns)
        elif name == "human cancel":
            controls.human_cancel(account, rig.now_ns, first)
        elif name == "human flatten":
            controls.human_flatten(account, rig.now_ns, cancel=first)
        elif name == "orphan":
            controls.orphan(first, account, "MNQ", rig.now_ns, side=1 - 2 * second, distance=15)
        elif name == "lock":
            controls.lock(account)
            assert rig.place(side=first, size=second).code != 0
            controls.unlock(account)
        elif name == "liquidate":
            controls.liquidate(account, rig.now_ns)
            controls.unlock(account)
        elif name == "halt":
            controls.halt(rig.now_ns, first + 1)
        elif name == "roll":
            controls.roll("MNQ", rig.now_ns, first)
        else:
            controls.clear()


def check(story: Story) -> None:
    """The invariants that hold after every step."""
    book = story.rig.account.book
    filled = Counter[int]()
    held = Counter[str]()
    for fill in book.fills:
        filled[fill.order_id] += fill.size
        held[fill.contract] += fill.side * fill.size
        assert fill.contract == book.orders[fill.order_id].contract
    assert {key: book.size(key) for key in story.rig.exchange.products} == {
        key: held[key] for key in story.rig.exchange.products
    }
    for order in book.orders.values():
        assert filled[order.order_id] == order.filled <= max(order.size, 0)
        assert (order.status == "filled") == (order.filled == order.size and order.size > 0)
        own = [fill for fill in book.fills if fill.order_id == order.order_id]
        assert order.fill_sum == sum(fill.price * fill.size for fill in own)
    money = sum((fill.pnl_cents or 0) - fill.fees_cents - fill.commission_cents for fill in book.fills)
    assert book.balance_cents == START + money
    assert [fill.fees_cents + fill.commission_cents for fill in book.fills] == [61 * fill.size for fill in book.fills]
    tags = [order.tag for order in book.orders.values() if order.tag]
    assert len(set(tags)) == len(tags)
    assert list(book.orders) == list(range(FIRST, FIRST + len(book.orders)))  # one id space, no holes
    assert [fill.fill_id for fill in book.fills] == list(range(FIRST, FIRST + len(book.fills)))
    if not story.broken:
        legs_are_right(story)


def legs_are_right(story: Story) -> None:
    book = story.rig.account.book
    for entry_id, legs in book._legs.items():
        entry = book.orders[entry_id]
        for leg in legs:
            awake = leg.stop is not None or leg.limit is not None
            if awake and leg.order_id not in story.resized:
                assert leg.size <= entry.filled
            assert leg.filled == 0 or entry.filled > 0
        if len(legs) == 2:
            assert [leg.status for leg in legs].count("filled") <= 1  # OCO
        if any(leg.status == "filled" for leg in legs):
            assert entry.status in FINAL
            assert all(leg.status in FINAL for leg in legs)


@settings(max_examples=250, deadline=None)
@given(stories(60))
def test_I11_books_are_right_after_every_step(steps: list[tuple[str, Any, Any]]) -> None:
    story = Story()
    for index, step in enumerate(steps):
        story.act(index, *step)
        check(story)
        story.told += [item.data for item in story.rig.exchange.drain() if item.kind != "account"]
    ended: dict[int, str] = {}
    seen: dict[int, int] = {}
    for data in story.told:
        if not isinstance(data, Order):
            continue
        assert data.order_id not in ended, "a final state is final"
        assert seen.get(data.order_id, 0) <= data.filled <= data.size or data.status == "rejected"
        seen[data.order_id] = data.filled
        if data.status in FINAL:
            ended[data.order_id] = data.status
    told_fills = [data.fill_id for data in story.told if isinstance(data, Fill)]
    assert told_fills == [fill.fill_id for fill in story.rig.account.book.fills]
    event(f"fills: {min(len(told_fills), 10)}")
    event(f"partly filled: {any(order.filled not in (0, order.size) for order in story.rig.orders)}")


@settings(max_examples=150, deadline=None)
@given(stories(60))
def test_profit_is_that_of_a_slow_book_of_single_contracts(steps: list[tuple[str, Any, Any]]) -> None:
    """Average cost in exact fractions: every fill within a tick a contract, and from flat to flat not a cent off."""
    story = Story()
    for index, step in enumerate(steps):
        story.act(index, *step)
    lots: dict[str, list[Fraction]] = {}
    sides: dict[str, int] = {}
    since_flat: dict[str, Fraction] = {}
    for fill in story.rig.account.book.fills:
        held = lots.setdefault(fill.contract, [])
        if held and sides[fill.contract] == -fill.side:
            average = sum(held) / len(held)
            exact = fill.size * -fill.side * (fill.price - average)
            assert fill.size <= len(held), "a fill that turns the position is told as two"
            assert fill.pnl_cents is not None
            assert abs(Fraction(fill.pnl_cents, 50) - exact) <= 1 + fill.size
            since_flat[fill.contract] += Fraction(fill.pnl_cents, 50) - exact
            held[:] = [average] * (len(held) - fill.size)
            if not held:
                assert since_flat[fill.contract] == 0
        else:
            assert fill.pnl_cents is None
            if not held:
                since_flat[fill.contract] = Fraction(0)
            sides[fill.contract] = fill.side
            held += [Fraction(fill.price)] * fill.size
    told = [item.data for item in story.rig.exchange.drain() if isinstance(item.data, Holding)]
    last = {holding.contract: holding for holding in told}
    for key, holding in last.items():
        assert holding.size == story.rig.size(key)
        assert abs(holding.size) == len(lots[key])


@settings(max_examples=60, deadline=None)
@given(stories(60))
def test_a_venue_of_the_same_story_says_the_same(steps: list[tuple[str, Any, Any]]) -> None:
    """I32 of the venue: nothing depends on anything but the requests and the ticks."""
    told = []
    for _ in range(2):
        story = Story()
        for index, step in enumerate(steps):
            story.act(index, *step)
        told.append([(item.kind, item.data) for item in story.rig.exchange.drain() if item.kind != "account"])
    assert told[0] == told[1]


@settings(max_examples=60, deadline=None)
@given(stories(60))
def test_after_a_liquidation_and_a_tick_nothing_is_left(steps: list[tuple[str, Any, Any]]) -> None:
    story = Story()
    for index, step in enumerate(steps):
        story.act(index, *step)
    rig = story.rig
    rig.controls.clear()
    rig.controls.liquidate(rig.account_id, rig.now_ns)
    rig.quote(1000, 1002)
    assert rig.account.book.holdings() == []
    assert rig.account.book.living_orders() == []
    assert rig.place(MNQ).code in (4, 9)


@settings(max_examples=80, deadline=None)
@given(stories(60))
def test_skipping_quiet_trades_changes_nothing_with_faults_either(steps: list[tuple[str, Any, Any]]) -> None:
    told = []
    for always in (False, True):
        story = Story()
        if always:
            story.rig.account.book._find_quiet = lambda _contract: ALWAYS  # type: ignore[method-assign]
        for index, step in enumerate(steps):
            story.act(index, *step)
        told.append([(item.kind, item.data) for item in story.rig.exchange.drain() if item.kind != "account"])
    assert told[0] == told[1]
