"""Old copies of the accounts: what a stale read shows, and that the living books never change them."""

from sim_rig import OWNER, ExchangeRig
from tbot.sim.fault_stale import OldView, Views


def test_F_ACC_05_a_view_is_how_things_stood_at_that_time() -> None:
    rig = ExchangeRig()
    views = Views(rig.exchange)
    assert views.empty
    assert views.at(5.0) is None
    views.take(0.0)
    working = rig.place(order_type=1, limit_price="100").order_id
    views.take(10.0)
    rig.place()
    rig.play(("trade", 1002, 1, 1))
    assert working is not None
    rig.exchange.cancel(OWNER, rig.account.account_id, working, rig.now_ns)
    views.take(20.0)

    def seen(at_s: float) -> tuple[int, int, int, list[str]]:
        view = views.at(at_s)
        assert view is not None
        account = view.account(OWNER, rig.account.account_id)
        assert account is not None
        book = account.book
        statuses = [order.status for order in book.orders.values()]
        return len(book.holdings()), len(book.fills), len(book.living_orders()), statuses

    assert seen(-1.0) == seen(9.9) == (0, 0, 0, [])
    assert seen(10.0) == seen(19.9) == (0, 0, 1, ["open"])
    assert seen(20.0) == seen(1e9) == (1, 1, 0, ["cancelled", "filled"])


def test_what_nobody_will_ask_for_is_forgotten() -> None:
    rig = ExchangeRig()
    views = Views(rig.exchange)
    old: list[OldView | None] = []
    for now_s in range(10):
        views.take(float(now_s), 3.0)
        old.append(views.at(float(now_s)))
    assert views.at(6.5) is old[6]
    assert views.at(0.0) is views.at(5.0) is old[6]  # the earliest that is left


def test_a_view_shows_other_people_nothing() -> None:
    rig = ExchangeRig()
    views = Views(rig.exchange)
    views.take(0.0)
    view = views.at(0.0)
    assert view is not None
    assert view.accounts_of("Somebody") == []
    assert view.account("Somebody", rig.account.account_id) is None
    rig.account.hidden = True
    views.take(1.0)
    hidden = views.at(1.0)
    assert hidden is not None
    assert hidden.accounts_of(OWNER) == []
    assert hidden.account(OWNER, rig.account.account_id) is None
