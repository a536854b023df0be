"""What goes out when: gathered, repeats counted, not too many, nothing lost in silence. All times are made up."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tbot.domain.process_messages import EngineEvent
from tbot.errors import ConfigError
from tbot.notify.mail import HOUR_NS, MOST_LINES, MOST_WAITING, Letter, Note, Outbox
from tbot.notify.settings import KINDS, NotifySettings
from tbot.notify.watch import RunWatch

S = 10**9
MIN = 60 * S
PLAIN = NotifySettings(gather_s=10, repeat_min=30, per_hour=8)


def box(**changes: Any) -> Outbox:
    return Outbox(replace(PLAIN, **changes), "T-BOT PAPER")


def test_what_happens_together_is_one_letter_with_the_urgent_first() -> None:
    out = box()
    out.add(Note("fills", "MNQ +2 @ 25000"), 0)
    out.add(Note("fills", "MNQ +2 @ 25000"), S)  # the same fill twice is two fills
    out.add(Note("locks", "LOCKED: daily loss"), 2 * S)
    assert out.due(9 * S) is None
    letter = out.due(10 * S)
    assert letter == Letter(
        "T-BOT PAPER: 2 fills, 1 lock", ("LOCKED: daily loss", "MNQ +2 @ 25000", "MNQ +2 @ 25000"), (), True
    )
    assert out.due(20 * S) is None


def test_the_last_letter_waits_for_nothing() -> None:
    out = box()
    out.add(Note("signals", "long"), 0)
    assert out.due(0) is None
    assert out.due(0, last=True) is not None


def test_a_fault_that_comes_again_and_again_is_told_once_and_then_counted() -> None:
    out = box()
    for number in range(100):
        out.add(Note("faults", f"market hub: attempt {number} in {number / 7:.1f} s"), number * S)
    first = out.due(100 * S)
    assert first is not None
    assert first.lines == ("market hub: attempt 0 in 0.0 s",)
    assert out.due(29 * MIN) is None
    out.due(30 * MIN)
    later = out.due(31 * MIN)
    assert later is not None
    assert later.lines == ("99 more times in 30 min: market hub: attempt 99 in 14.1 s",)
    assert out.due(200 * MIN) is None
    out.add(Note("faults", "market hub: attempt 1 in 1.0 s"), 200 * MIN)  # long after: news again
    assert out.due(201 * MIN) is not None


def test_other_numbers_are_the_same_fault_and_other_words_are_not() -> None:
    out = box()
    for text in ("MNQ lost 3", "MNQ lost 4,000.5", "ES lost 3"):
        out.add(Note("faults", text), 0)
    assert out.waiting == 2


def test_an_hour_has_a_limit_and_a_part_of_it_is_kept_for_what_is_urgent() -> None:
    out = box(gather_s=0)
    sent = []
    for minute in range(60):
        out.add(Note("fills", f"fill {minute}"), minute * MIN)
        sent.append(out.due(minute * MIN) is not None)
    assert sum(sent) == 6  # of 8
    out.add(Note("locks", "LOCKED"), 59 * MIN)
    letter = out.due(59 * MIN)
    assert letter is not None
    assert letter.lines[0] == "LOCKED"
    assert out.left_out == 55 - MOST_LINES  # 54 fills and the lock waited; what no letter holds is counted
    assert letter.lines[-1] == f"and {55 - MOST_LINES} more"
    out.add(Note("faults", "restarted"), 59 * MIN)
    assert out.due(59 * MIN) is not None
    out.add(Note("faults", "something else"), 59 * MIN)
    assert out.due(59 * MIN) is None  # that was the eighth
    assert out.due(HOUR_NS) is not None  # the first is an hour old


def test_what_waits_is_bounded_and_the_urgent_stays() -> None:
    out = box(per_hour=1)
    out.add(Note("locks", "LOCKED"), 0)
    for number in range(MOST_WAITING + 50):
        out.add(Note("fills", f"fill {number}"), 0)
    assert (out.waiting, out.left_out) == (MOST_WAITING, 51)
    letter = out.due(HOUR_NS)
    assert letter is not None
    assert letter.lines[0] == "LOCKED"


def test_kinds_that_nobody_wants_are_not_sent() -> None:
    out = box(kinds=("locks",))
    for kind in KINDS:
        out.add(Note(kind, kind), 0)
    letter = out.due(MIN)
    assert letter is not None
    assert letter.lines == ("locks",)


STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 3), st.integers(0, 900)), max_size=120)


@settings(max_examples=60)
@given(STEPS, st.integers(1, 12), st.sampled_from([0.0, 5.0, 60.0]))
def test_no_hour_has_more_letters_than_allowed_and_every_note_is_told_or_counted(
    steps: list[tuple[str, int, int]], limit: int, gather_s: float
) -> None:
    out = box(per_hour=limit, gather_s=gather_s, repeat_min=0.0)
    now, times, told = 0, [], 0
    for kind, text, wait_s in steps:
        out.add(Note(kind, f"text {text}"), now)
        now += wait_s * S
        letter = out.due(now)
        if letter is not None:
            times.append(now)
            told += len(letter.lines) - letter.lines[-1].startswith("and ")
    for at in times:
        assert sum(at - HOUR_NS < other <= at for other in times) <= limit
    assert told + out.waiting + out.left_out == len(steps)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"file": "tgram://canary"}, "not an address"),
        ({"kinds": ("fill",)}, "kinds must be among"),
        ({"per_hour": 0}, "per_hour"),
        ({"gather_s": -1.0}, "gather_s"),
        ({"repeat_min": 2_000.0}, "repeat_min"),
    ],
)
def test_settings_that_make_no_sense_are_named_and_an_address_is_never_shown(wrong: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match) as raised:
        NotifySettings(**wrong)
    assert "canary" not in str(raised.value)


# ------------------------------------------------------------------------------------------- what is worth a message
@pytest.mark.parametrize(
    ("process", "kind", "text", "expected"),
    [
        ("worker-MNQ", "SIGNAL", "long score 71", "signals"),
        ("executor", "FILL", "+2 @ 25000", "fills"),
        ("executor", "ROUND", "long 2 closed by its stop", "fills"),
        ("executor", "STATE", "LOCKED: daily loss (RC_DAILY_LOSS)", "locks"),
        ("executor", "STATE", "50K-1: HALTED: another account (RC_CONFIG)", "locks"),
        ("executor", "STATE", "kill switch pressed (launcher): closing everything", "locks"),
        ("executor", "STATE", "REDUCING: the firm's loss limit is near (RC_FLOOR)", "locks"),
        ("executor", "STATE", "REDUCING: stopping: closing everything that is ours (RC_OPERATOR)", ""),
        ("executor", "STATE", "ACTIVE: trading", ""),
        ("executor", "STATE", "UNLOCKEDNESS", ""),
        ("executor", "ORDER", "c1: rejected", "faults"),
        ("launcher", "PROC", "feed restarted (1): exit code 1", "faults"),
        ("feed", "FEED", "market hub lost", ""),
        ("executor", "DENIAL", "no entries at night", ""),
        ("executor", "INTENT", "long 2", ""),
    ],
)
def test_which_events_are_worth_a_message(process: str, kind: str, text: str, expected: str) -> None:
    notes = RunWatch().on_event(EngineEvent(0, process, kind, "MNQ", text))
    assert [note.kind for note in notes] == ([expected] if expected else [])
    assert all(note.text == f"MNQ {text}" for note in notes)


def test_a_token_never_leaves() -> None:
    (note,) = RunWatch().on_event(EngineEvent(0, "launcher", "PROC", "", "died at wss://x?access_token=canary&b"))
    assert "canary" not in note.text


def test_alarms_are_told_when_they_come_and_when_they_go() -> None:
    watch = RunWatch()
    alarm = {"code": "RC_MKT_HUB", "text": "market hub: reset"}
    assert watch.on_status({"state": "STARTING", "alarms": []}) == []
    assert watch.on_status({"state": "PAUSED", "alarms": [alarm]}) == [Note("faults", "market hub: reset (RC_MKT_HUB)")]
    assert watch.on_status({"state": "PAUSED", "alarms": [{**alarm, "text": "attempt 2"}]}) == []
    assert watch.on_status({"state": "ACTIVE", "alarms": []}) == [Note("faults", "over: attempt 2 (RC_MKT_HUB)")]
    ended = {"state": "NOT_FLAT", "reason": "the accounts were not proven flat"}
    assert watch.on_status(ended) == [Note("faults", "NOT_FLAT: the accounts were not proven flat")]
    assert watch.on_status(ended) == []


def test_the_report_of_the_week_is_sent_when_it_is_made_and_not_at_every_start() -> None:
    old = {"last_at": "a", "last_label": "2026-W46", "last_failure": "", "last_paths": ["x.pdf"]}
    new = {"last_at": "b", "last_label": "2026-W47", "last_failure": "", "last_paths": ["x.html", "x.png", "x.pdf"]}
    watch = RunWatch()
    assert watch.on_status({"report": old}) == []
    assert watch.on_status({"report": old}) == []
    assert watch.on_status({"report": new}) == [Note("report", "report of 2026-W47", ("x.pdf",))]
    assert watch.on_status({"report": new}) == []
    failed = {**new, "last_at": "c", "last_failure": "no room"}
    assert watch.on_status({"report": failed}) == [Note("faults", "no report of 2026-W47: no room")]
    assert RunWatch().on_status({}) == []
    first = RunWatch()
    assert first.on_status({"report": {"last_at": None}}) == []
    assert first.on_status({"report": {**new, "last_paths": []}}) == [Note("report", "report of 2026-W47")]
