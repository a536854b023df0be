"""`tbot report --gateway` against the simulator: equal to the cent, and each kind of difference by the broker's ids."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from sim_rig import DAY_NS, KEY, MNQ, OWNER, RunningServer, running, steady_market, until
from tbot.commands.report import report
from tbot.domain import messages as m
from tbot.errors import AuthError, GatewayError
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import RunInfo
from tbot.transport import wire

S = 1_000_000_000
BUY, SELL = 0, 1
ACCOUNTS = (1001, 1002)
TICK_CENTS = 50
TRIPS = ((1001, BUY, 2), (1002, SELL, 1), (1001, SELL, 3))  # (account, side of the entry, size)


@dataclass
class Venue:
    """A simulator on which both accounts have traded, and a state folder for the journal of it."""

    server: RunningServer
    state: Path
    token: str

    def fills(self, account: int) -> list[dict[str, Any]]:
        """As the venue itself keeps them, in ticks and cents."""
        told = self.server.control("GET", "/sim/state").json()["accounts"]
        (mine,) = [one for one in told if one["id"] == account]
        return list(mine["fills"])

    def market(self, account: int, side: int, size: int) -> None:
        """A market order, and until it is filled."""
        before = sum(fill["size"] for fill in self.fills(account))
        body = {"accountId": account, "contractId": MNQ, "type": 2, "side": side, "size": size}
        answer = self.server.post("/api/Order/place", self.token, **body)
        assert answer.json()["success"], answer.text
        until(lambda: sum(fill["size"] for fill in self.fills(account)) == before + size, "the fill")

    def report(self, *arguments: str, key: str = KEY) -> dict[str, Any]:
        login = {"TBOT_USERNAME": OWNER, "TBOT_API_KEY": key, "TBOT_HOME": str(self.state.parent)}
        asked = ["--state-dir", str(self.state), "--gateway", self.server.rest, "--json", *arguments]
        done = CliRunner().invoke(report, asked, env=login, standalone_mode=False, catch_exceptions=False)
        return dict(json.loads(done.output))


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    state = tmp_path / "state"
    state.mkdir()
    with running(steady_market(start_ns=DAY_NS), start_ns=DAY_NS, hours="always", accounts=2) as server:
        made = Venue(server, state, server.login())
        for account, side, size in TRIPS:
            made.market(account, side, size)
            made.market(account, 1 - side, size)
        yield made


def write_journal(venue: Venue, *, without: frozenset[int] = frozenset(), cents: int = 0, more: int = 0) -> int:
    """What an executor would have written of the venue's fills; the net result of the noted round trips.

    `without`: fills that it never heard of; `cents`: by which its gross results are off; `more`: a trade of its own
    with this number. Each round trip of the script is one entry and one exit.
    """
    desk = {"accounts": [{"account": number, "name": f"SIM-{number}"} for number in ACCOUNTS]}
    run = RunInfo(1, "b", "c", "sim", DAY_NS - S, json.dumps(desk))
    net = 0
    with Journal(venue.state / "journal.db", wire, run) as journal:
        for account in ACCOUNTS:
            told = [fill for fill in venue.fills(account) if fill["fill_id"] not in without]
            for place in range(0, len(told), 2):
                pair = [fill_of(account, row) for row in told[place : place + 2]]
                journal.record(pair[0], [])
                note = note_of(*pair, cents)
                journal.record(pair[1], [note])
                net += note.net_cents
        if more:
            journal.record(m.Fill(DAY_NS + 9 * S, 1001, more, 1, "MNQ", 1, 1, 1_000, 37, 25, None), [])
    return net


def fill_of(account: int, row: dict[str, Any]) -> m.Fill:
    return m.Fill(
        row["now_ns"], account, row["fill_id"], row["order_id"], "MNQ", row["side"], row["size"], row["price"],
        row["fees_cents"], row["commission_cents"], row["pnl_cents"],
    )  # fmt: skip


def note_of(entry: m.Fill, leave: m.Fill, cents: int) -> m.RoundTrip:
    gross = entry.side * (leave.price - entry.price) * entry.size * TICK_CENTS + cents
    return m.RoundTrip(
        leave.now_ns, entry.account, "MNQ", entry.side, entry.size, entry.now_ns, entry.price * entry.size,
        leave.price * entry.size, gross, entry.fees_cents + leave.fees_cents,
        entry.commission_cents + leave.commission_cents, "close", "s", 0,
    )  # fmt: skip


def kinds(told: dict[str, Any]) -> list[tuple[str, list[int]]]:
    return [(one["kind"], one["trade_ids"]) for one in told["broker"]["differences"]]


def test_equal_to_the_cent_to_what_the_gateway_lists(venue: Venue) -> None:
    net = write_journal(venue)
    told = venue.report()
    assert kinds(told) == []
    broker = told["broker"]
    by_venue = sum(
        (fill["pnl_cents"] or 0) - fill["fees_cents"] - fill["commission_cents"]
        for account in ACCOUNTS for fill in venue.fills(account)
    )  # fmt: skip
    assert round(broker["broker_usd"] * 100) == round(broker["ours_usd"] * 100) == net == by_venue < 0
    assert (broker["equal"], broker["trades"], broker["round_trips"], broker["difference_usd"]) == (True, 6, 3, 0)
    assert broker["source"] == f"the trades that {venue.server.rest} lists"
    assert {trade["account"] for trade in told["trades"]} == set(ACCOUNTS)


def test_of_one_account(venue: Venue) -> None:
    write_journal(venue)
    told = venue.report("--account", "1002")
    assert (told["broker"]["equal"], told["broker"]["trades"], told["broker"]["round_trips"]) == (True, 2, 1)


def test_trades_that_the_journal_never_heard_of_are_listed(venue: Venue) -> None:
    """A person's trade at the venue, and a trade of ours that it does not know."""
    strangers = [fill["fill_id"] for fill in venue.fills(1002)]
    net = write_journal(venue, without=frozenset(strangers), more=987_654)
    told = venue.report()
    assert not told["broker"]["equal"]
    assert sorted(kinds(told)) == sorted([
        ("not in the journal", strangers),
        *(("trade not in the journal", [number]) for number in strangers),
        ("trade not at the broker", [987_654]),
    ])  # fmt: skip
    assert round(told["broker"]["ours_usd"] * 100) == net
    missing = sum(
        (fill["pnl_cents"] or 0) - fill["fees_cents"] - fill["commission_cents"] for fill in venue.fills(1002)
    )
    assert round(told["broker"]["difference_usd"] * 100) == -missing


def test_a_cent_is_a_difference(venue: Venue) -> None:
    write_journal(venue, cents=1)
    told = venue.report()
    pairs = [fills[place : place + 2] for fills in map(venue.fills, ACCOUNTS) for place in range(0, len(fills), 2)]
    expected = [("gross", [fill["fill_id"] for fill in pair]) for pair in pairs]
    assert sorted(kinds(told)) == sorted(expected)
    assert round(told["broker"]["difference_usd"] * 100) == len(TRIPS)


def test_a_gateway_that_does_not_tell_makes_no_report(venue: Venue) -> None:
    write_journal(venue)
    with pytest.raises(AuthError):
        venue.report(key="wrong")
    refused = {"endpoint": "Trade/search", "status": 500, "n": 99}
    venue.server.plan({"id": "no", "name": "rest.status", "p": 1.0, "args": refused})
    with pytest.raises(GatewayError, match="trades of account 1001"):
        venue.report()


def test_without_a_login_it_says_so(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    write_journal(venue)
    with pytest.raises((AuthError, click.ClickException)):
        venue.report(key="")
