"""The recording's own feed: what it does when the gateway's list of months cannot be read."""

import asyncio
from datetime import date

import pytest

from tbot.engine import record_feed
from tbot.engine.record_feed import RecordFeed, RecordSettings
from tbot.errors import GatewayError
from tbot.gateway.redact import Credentials


def test_F_TIM_07_a_list_that_could_not_be_read_is_read_again_on_the_same_day(monkeypatch: pytest.MonkeyPatch) -> None:
    boot = [10**12]
    monkeypatch.setattr(record_feed, "boot_ns", lambda: boot[0])
    told: list[str] = []
    settings = RecordSettings("http://127.0.0.1:9", "http://127.0.0.1:9/hubs/market", False, ("MNQ",))
    feed = RecordFeed(settings, Credentials("u", "k"), lambda contract, text: told.append(text))
    looks: list[int] = []

    def look() -> None:
        looks.append(boot[0])
        if len(looks) == 1:
            raise GatewayError("the gateway does not list its contracts")

    monkeypatch.setattr(feed, "_find_contracts", look)
    feed._listed_day = date(2026, 1, 1)
    for _ in range(3):
        asyncio.run(feed._look_at_months())
    assert (len(looks), len(told)) == (1, 1)  # not once a second either
    boot[0] += record_feed.LIST_RETRY_NS
    for _ in range(3):
        asyncio.run(feed._look_at_months())
    assert (len(looks), len(told)) == (2, 1)
    feed.close()
