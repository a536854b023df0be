"""What the executor makes of a gateway that changes: which contracts take no entries, why, what a person is told."""

from types import SimpleNamespace
from typing import Any

import pytest

from manual_clock import ManualClock
from tbot.domain.process_messages import TokenRequest
from tbot.engine import gateway_watch
from tbot.engine.clocks import boot_ns
from tbot.engine.gateway_link import Listing
from tbot.engine.gateway_watch import GatewayWatch

MNQ, MNQ_NEXT, ES = "CON.F.US.MNQ.Z26", "CON.F.US.MNQ.H27", "CON.F.US.EP.Z26"
DAY_NS = 1_795_186_800_000_000_000  # 2026-11-20 15:00 UTC
EXPIRING_NS = DAY_NS + 21 * 24 * 3600 * 10**9  # 2026-12-11


class FakeSession:
    def __init__(self) -> None:
        self.barred: dict[str, str] = {}
        self.codes: dict[str, str] = {}

    def bar(self, contract: str, code: str, reason: str, now_ns: int) -> None:
        self.barred.pop(contract, None)
        self.codes[contract] = code
        if reason:
            self.barred[contract] = reason


class FakeDesk:
    """A TradingDesk as far as the watch looks at it."""

    def __init__(self) -> None:
        self.clock = ManualClock(DAY_NS)
        self.session = FakeSession()
        self.flat = True
        self.desk = SimpleNamespace(is_flat=lambda: self.flat)
        self.user_connects = self.logouts = self.user_goodbyes = 0
        self.user_hub_lost = ("", 0)
        self.renewed = 0
        self.books: list[dict[str, str]] = []

    def renew_user_hub(self) -> None:
        self.renewed += 1

    def set_contracts(self, book: Any) -> None:
        self.books.append(book)


class FakeLink:
    def __init__(self) -> None:
        tokens = SimpleNamespace(refused="")
        tokens.reset = lambda: setattr(tokens, "refused", "")
        self.rest = SimpleNamespace(tokens=tokens)
        self.listing: Listing | None = None
        self.clock_trouble = self.accounts_trouble = ""
        self.logins_looked_at = 0
        self.generation = 1
        self.months = {"MNQ": MNQ, "ES": ES}
        self.looks = 0

    def contracts(self) -> dict[str, str]:
        return dict(self.months)

    def book(self) -> dict[str, str]:
        return dict(self.months)

    def look_after_login(self) -> None:
        self.logins_looked_at += 1

    def forgive(self) -> None:
        self.accounts_trouble = ""

    def look_again(self) -> None:
        self.looks += 1

    def roll(self, symbol: str, broker_id: str) -> None:
        self.months[symbol] = broker_id
        self.generation += 1


class Rig:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gateway_watch, "LOOK_NS", 0)
        self.link, self.desk = FakeLink(), FakeDesk()
        self.told: list[tuple[str, str]] = []
        self.watch = GatewayWatch(
            self.link,  # type: ignore[arg-type]
            self.desk,  # type: ignore[arg-type]
            ("MNQ", "ES"),
            lambda now_ns, kind, contract, text: self.told.append((contract, text)),
        )

    def look(self) -> dict[str, str]:
        self.watch.look()
        return self.desk.session.barred

    def alarms(self) -> dict[str, str]:
        return {alarm["code"]: alarm["text"] for alarm in self.watch.alarms()}


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch)


def test_nothing_stands_against_entries(rig: Rig) -> None:
    assert rig.look() == {}
    rig.link.listing = Listing({"MNQ": MNQ, "ES": ES}, {})
    assert rig.look() == {}
    assert rig.alarms() == {}
    assert rig.told == []
    assert rig.desk.renewed == 2


def test_F_NET_07_without_order_events_nothing_new_is_opened(rig: Rig) -> None:
    rig.desk.user_hub_lost = ("closed 1006", boot_ns())
    assert (rig.look(), rig.alarms()) == ({}, {})  # a change of tokens looks the same for a moment
    rig.desk.user_hub_lost = ("closed 1006", boot_ns() - gateway_watch.USER_HUB_GRACE_NS)
    assert rig.look() == dict.fromkeys(("MNQ", "ES"), "order events are down")
    assert rig.alarms() == {"RC_USER_HUB": "order events are down (closed 1006); positions are watched by REST"}
    rig.desk.user_hub_lost = ("", 0)
    assert (rig.look(), rig.alarms()) == ({}, {})


# ------------------------------------------------------------------------------------------------------------- rolls
def test_F_TIM_07_I29_a_roll_bars_first_then_waits_for_flat_then_changes_everywhere(rig: Rig) -> None:
    rig.desk.flat = False
    rig.link.listing = Listing({"MNQ": MNQ_NEXT, "ES": ES}, {})
    assert list(rig.look()) == ["MNQ"]
    assert rig.desk.session.barred["MNQ"].startswith(f"rolled from {MNQ} to {MNQ_NEXT}")
    for _ in range(5):
        rig.look()
    assert rig.link.months["MNQ"] == MNQ  # what is open is managed under the old id
    assert rig.desk.books == []
    rig.desk.flat = True
    rig.look()
    assert rig.link.months["MNQ"] == MNQ_NEXT
    assert rig.link.generation == 2
    assert rig.desk.books == [{"MNQ": MNQ_NEXT, "ES": ES}]
    assert rig.desk.session.barred == {"MNQ": f"changing to {MNQ_NEXT}"}
    rig.watch.on_feed(TokenRequest(1, contracts=1))  # the feed does not know yet
    assert rig.look() == {"MNQ": f"changing to {MNQ_NEXT}"}
    rig.watch.on_feed(TokenRequest(1, contracts=2))
    assert rig.look() == {}
    assert [text for contract, text in rig.told if contract == "MNQ"][-1] == "entries are possible again"
    assert {contract for contract, _ in rig.told} == {"MNQ"}


def test_I29_the_desk_hears_of_the_bar_before_the_month_changes_even_when_flat(rig: Rig) -> None:
    rig.link.listing = Listing({"MNQ": MNQ_NEXT, "ES": ES}, {})
    assert "rolled" in rig.look()["MNQ"]
    assert rig.link.months["MNQ"] == MNQ
    assert rig.look() == {"MNQ": f"changing to {MNQ_NEXT}"}


def test_F_TIM_07_two_active_months_or_none_bar_the_contract_until_the_list_is_clear(rig: Rig) -> None:
    rig.link.listing = Listing({"ES": ES}, {"MNQ": "2 active months listed instead of one"})
    assert rig.look() == {"MNQ": "the gateway's list: 2 active months listed instead of one"}
    rig.link.listing = Listing({"MNQ": MNQ, "ES": ES}, {})
    assert rig.look() == {}


def test_F_TIM_07_I29_no_entries_from_eight_days_before_the_last_trading_day(rig: Rig) -> None:
    """The list may still name it; the third Friday of December is the 18th."""
    rig.desk.clock.set_ns(DAY_NS + 19 * 24 * 3600 * 10**9)  # 9 December
    assert rig.look() == {}
    rig.desk.clock.set_ns(EXPIRING_NS)
    assert set(rig.look()) == {"MNQ", "ES"}
    assert "no entries from 2026-12-10 on" in rig.desk.session.barred["ES"]


# ---------------------------------------------------------------------------------------------------- the whole login
def test_F_API_02_a_refused_login_bars_everything_and_says_why(rig: Rig) -> None:
    rig.link.rest.tokens.refused = "Invalid credentials (3)"
    assert rig.look() == dict.fromkeys(("MNQ", "ES"), "the gateway refused the login: Invalid credentials (3)")
    assert rig.desk.session.codes == {"MNQ": "RC_AUTH", "ES": "RC_AUTH"}
    assert "check user name and key" in rig.alarms()["RC_AUTH"]


def test_F_NET_09_a_taken_session_bars_everything_until_a_person_says_resume(rig: Rig) -> None:
    rig.desk.logouts = 1
    rig.watch.on_feed(TokenRequest(1, connects=1, logouts=2))
    assert set(rig.look()) == {"MNQ", "ES"}
    assert "taken over 3 times:" in rig.alarms()["RC_SECOND_ENGINE"]
    assert rig.watch.of_the_login == "somebody else uses this login"
    rig.watch.acknowledge()
    assert (rig.look(), rig.watch.of_the_login) == ({}, "")
    assert rig.alarms() == {}
    rig.watch.on_feed(TokenRequest(1, connects=2, logouts=3))  # it goes on
    assert set(rig.look()) == {"MNQ", "ES"}
    assert "taken over 1 time:" in rig.alarms()["RC_SECOND_ENGINE"]


def test_F_ACC_04_an_account_that_is_another_one_bars_everything_until_a_person_says_resume(rig: Rig) -> None:
    rig.link.accounts_trouble = "account 1002 is not listed by the gateway"
    assert set(rig.look()) == {"MNQ", "ES"}
    assert set(rig.desk.session.codes.values()) == {"RC_CONFIG"}
    assert "account 1002 is not listed by the gateway; look at the platform" in rig.alarms()["RC_CONFIG"]
    assert rig.link.logins_looked_at == 1
    assert rig.watch.of_the_login == "account 1002 is not listed by the gateway"
    rig.watch.acknowledge()
    assert rig.look() == {}


def test_F_API_02_I24_a_refused_login_is_tried_again_when_a_person_says_resume(rig: Rig) -> None:
    rig.link.rest.tokens.refused = "HTTP 401"
    assert set(rig.look()) == {"MNQ", "ES"}
    assert set(rig.desk.session.codes.values()) == {"RC_AUTH"}
    assert "check user name and key, then resume" in rig.alarms()["RC_AUTH"]
    assert rig.watch.of_the_login == "the gateway refused the login: HTTP 401"
    rig.watch.acknowledge()
    assert rig.look() == {}
    assert rig.alarms() == {}


def test_another_clock_bars_everything(rig: Rig) -> None:
    rig.link.clock_trouble = "the gateway's market clock went back by 3600 s"
    assert set(rig.look()) == {"MNQ", "ES"}
    assert rig.alarms()["RC_CLOCK"] == rig.link.clock_trouble
    assert rig.watch.of_the_login == ""  # ends by itself: no resume has a part in it


def test_three_goodbyes_of_the_user_hub_are_an_alarm_but_bar_nothing(rig: Rig) -> None:
    rig.desk.user_goodbyes = 2
    assert rig.alarms() == {}
    rig.desk.user_goodbyes = 3
    assert rig.look() == {}
    assert "watched by REST" in rig.alarms()["RC_USER_HUB"]


# ------------------------------------------------------------------------------------------------------ reconnections
def test_F_TIM_07_after_each_reconnection_of_either_hub_list_and_clock_are_looked_at(rig: Rig) -> None:
    rig.watch.on_feed(TokenRequest(1, connects=1))
    rig.desk.user_connects = 1
    rig.look()
    assert rig.link.looks == 0  # the first connections are no reconnections
    rig.watch.on_feed(TokenRequest(1, connects=2))
    rig.watch.on_feed(TokenRequest(1, connects=2))
    assert rig.link.looks == 1
    rig.desk.user_connects = 2
    rig.look()
    rig.look()
    assert rig.link.looks == 2


def test_looks_are_a_second_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    monkeypatch.setattr(gateway_watch, "LOOK_NS", 10**18)
    for _ in range(10):
        rig.look()
    assert rig.desk.renewed == 1


def test_names_are_what_the_real_things_have() -> None:
    """The fakes above stand for real attributes: a rename must not leave this file green."""
    from tbot.engine.desk_setup import TradingDesk
    from tbot.engine.gateway_link import Link
    from tbot.execution.session import DeskSession

    for name in ("user_connects", "logouts", "user_goodbyes", "renew_user_hub", "set_contracts"):
        assert hasattr(TradingDesk, name)
    for name in ("contracts", "book", "look_again", "look_after_login", "forgive", "roll"):
        assert hasattr(Link, name)
    for name in ("bar", "barred"):
        assert hasattr(DeskSession, name)
