"""News, the dollar index and messages in the words of `tbot status`."""

from typing import Any

from tbot.commands.status_context import context_lines

DXY = {
    "filter": "prefer", "stale_policy": "block", "index": 101.39492, "trend": "rising", "age_s": 17, "stale": False,
    "problem": "", "errors": {}, "correlation": {"MNQ": -0.6092, "6E": None}, "legs": {},
}  # fmt: skip
NEWS = {
    "stale": False, "age_s": 7_300, "problems": [], "actions": {"MNQ": "block", "6E": "none"},
    "next": [{"time": "2026-12-10T13:30:00Z", "currency": "USD", "impact": "High", "title": "CPI\x1b m/m"}],
}  # fmt: skip
ROW = {"service": "tgram", "sent": 3, "failed": 0, "failing": False}
NOTIFY = {"services": [ROW], "not_understood": 0, "trouble": "", "waiting": 1, "left_out": 0, "lost": 0}


def told(**parts: Any) -> list[str]:
    return context_lines(parts)


def test_what_a_run_does_not_follow_has_no_line() -> None:
    assert told() == told(news=None, dxy=None, notify=None) == []


def test_the_dollar_index_and_why_there_is_none() -> None:
    assert told(dxy=DXY) == [
        "dollar index 101.395  rising  17 s old  correlation MNQ -0.61, 6E n/a  filter prefer"
    ]  # fmt: skip
    missing = {**DXY, "index": None, "trend": None, "age_s": None, "stale": True, "problem": "the gateway lists no 6S"}
    assert told(dxy=missing) == ["! dollar index: the gateway lists no 6S; no entries meanwhile"]
    assert told(dxy={**missing, "stale_policy": "ignore"})[-1].endswith("; the filter is off meanwhile")
    assert told(dxy={**missing, "filter": "off", "problem": ""}) == ["! dollar index: it stopped coming"]
    assert told(dxy={**DXY, "errors": {"KeyError": 2}})[-1] == "! dollar index: 2 times KeyError; report this"


def test_news_now_and_next_and_who_knows_of_none() -> None:
    assert told(news=NEWS) == ["news  MNQ block  next 2026-12-10T13:30Z USD High CPI  m/m  calendar 2 h old"]
    old = {**NEWS, "stale": True, "age_s": 900_000, "actions": {}, "next": []}
    assert told(news=old) == [
        "news  none now  next n/a  calendar 10 days old", "! news: nobody knows what is scheduled now; see tbot news"
    ]  # fmt: skip
    assert "of unknown age" in told(news={**NEWS, "age_s": None})[0]


def test_messages_and_services_that_do_not_take_them() -> None:
    assert told(notify=NOTIFY) == ["messages  tgram 3 sent  1 waiting"]
    bad = {**NOTIFY, "services": [ROW, {**ROW, "service": "json", "failed": 4, "failing": True}], "not_understood": 2}
    text = told(notify={**bad, "lost": 1, "left_out": 5})
    assert text == [
        "messages  tgram 3 sent, json 3 sent  1 waiting",
        "! messages: json does not take them (4 failed); see tbot notify test",
        "! messages: 2 addresses are not understood; see tbot notify test",
        "! messages: 5 lines left out, 1 message lost",
    ]
    assert told(notify={**NOTIFY, "services": [], "trouble": "no apprise"}) == [
        "! messages: none are sent: no apprise"
    ]  # fmt: skip
