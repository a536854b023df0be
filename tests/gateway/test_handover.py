"""Change of connections: whatever the two sequences look like, every record is delivered exactly once, in order."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tbot.gateway.codec_overlap import barrier, topic_and_time, topics
from tbot.gateway.handover import Handover
from tbot.gateway.signalr import Invocation

MNQ, ES = "CON.F.US.MNQ.Z26", "CON.F.US.EP.Z26"


def trade(at_ms: int, price: float = 100.0, size: int = 1, contract: str = MNQ) -> Invocation:
    stamp = f"2026-11-20T15:00:{at_ms // 1000:02d}.{at_ms % 1000:03d}+00:00"
    row = {"price": price, "volume": size, "type": 0, "timestamp": stamp}
    return Invocation("GatewayTrade", json.dumps([contract, [row]]).encode())


def quote(at_ms: int, bid: float = 100.0, contract: str = MNQ) -> Invocation:
    stamp = f"2026-11-20T15:00:{at_ms // 1000:02d}.{at_ms % 1000:03d}1234+00:00"
    return Invocation("GatewayQuote", json.dumps([contract, {"bestBid": bid, "lastUpdated": stamp}]).encode())


class Overlap:
    """One sequence of records at a server, two connections that have got to different places in it."""

    def __init__(self, stream: list[Invocation], subscribed_at: int, others: tuple[str, ...] = ()) -> None:
        self.stream = stream
        self.handover = Handover([("GatewayTrade", MNQ), *topics(others)])
        self.subscribed_at = subscribed_at
        self.at_old = 0
        self.at_new = subscribed_at
        self.delivered: list[Invocation] = []
        self.switched = False
        self.catch_up = None

    def old(self) -> None:
        """The next record arrives on the old connection."""
        if self.switched or self.at_old == len(self.stream):
            return
        self.handover.old(self.stream[self.at_old])
        self.delivered.append(self.stream[self.at_old])
        self.at_old += 1
        self.settle()

    def new(self) -> None:
        """The next record arrives on the new connection."""
        if self.at_new == len(self.stream):
            return
        event = self.stream[self.at_new]
        self.at_new += 1
        if not self.switched:
            self.handover.new(event, self.at_new)
        elif self.catch_up.passes(event):
            self.delivered.append(event)
        self.settle()

    def settle(self) -> None:
        if not self.switched and self.handover.ready:
            due, self.catch_up = self.handover.take_over()
            self.delivered += [event for event, _ in due]
            self.switched = True

    def barrier(self) -> None:
        """Both connections have everything up to here (the server's answers do not overtake)."""
        before = self.handover.counts()
        self.handover.meet(before)
        self.settle()

    def finish(self) -> None:
        while self.at_old < len(self.stream) and not self.switched:
            self.old()
        while self.at_new < len(self.stream):
            self.new()
        if not self.switched:
            self.barrier()


# Times that repeat, go back now and then, and contents that repeat: what a real tape looks like.
RECORDS = st.lists(
    st.builds(trade, st.integers(0, 12), st.sampled_from([100.0, 100.25]), st.sampled_from([1, 2])), max_size=40
)
ORDERED = st.lists(st.tuples(st.integers(0, 2), st.sampled_from([100.0, 100.25])), max_size=60)


def in_order(steps: list[tuple[int, float]]) -> list[Invocation]:
    at, stream = 0, []
    for step, price in steps:
        at += step
        stream.append(trade(at, price))
    return stream


@settings(max_examples=400)
@given(ORDERED, st.integers(0, 60), st.lists(st.booleans(), max_size=150))
def test_F_API_01_nothing_lost_nothing_doubled_however_the_connections_run_apart(
    steps: list[tuple[int, float]], subscribed_at: int, turns: list[bool]
) -> None:
    stream = in_order(steps)
    overlap = Overlap(stream, min(subscribed_at, len(stream)))
    for turn in turns:
        if turn:
            overlap.old()
        elif overlap.at_new < len(stream) and overlap.at_old >= min(overlap.subscribed_at, len(stream)) - 5:
            overlap.new()  # a connection that is some records ahead or behind, not hours
    overlap.finish()
    assert overlap.switched
    assert overlap.catch_up.done
    assert overlap.handover.problem == ""
    assert overlap.delivered == stream


@settings(max_examples=200)
@given(RECORDS, st.integers(0, 40), st.lists(st.booleans(), max_size=100))
def test_prints_out_of_order_and_exact_repeats_do_no_harm(
    stream: list[Invocation], subscribed_at: int, turns: list[bool]
) -> None:
    overlap = Overlap(stream, min(subscribed_at, len(stream)))
    for turn in turns:
        (overlap.old if turn else overlap.new)()
    overlap.finish()
    assert overlap.delivered == stream


def test_a_run_of_identical_prints_is_counted_not_compared() -> None:
    """The trap: B begins inside a run of equal records; by content each could be any other."""
    same = [trade(5)] * 6
    stream = [trade(1), *same, trade(9), trade(9), trade(9)]
    overlap = Overlap(stream, 3)
    for _ in range(4):
        overlap.old()
    for _ in range(2):
        overlap.new()
    assert not overlap.switched  # nothing proves yet which of the equal ones they are
    overlap.new()
    overlap.new()
    overlap.new()
    assert not overlap.switched
    for _ in range(4):
        overlap.old()
    assert overlap.switched
    overlap.finish()
    assert overlap.delivered == stream


def test_the_new_connection_may_be_ahead_or_behind_at_the_change() -> None:
    stream = [trade(at) for at in range(30)]
    ahead = Overlap(stream, 2)
    for _ in range(3):
        ahead.old()
    for _ in range(10):
        ahead.new()
    ahead.old()
    assert ahead.switched
    assert ahead.delivered == stream[:12]
    assert ahead.catch_up.done
    behind = Overlap(stream, 2)
    for _ in range(20):
        behind.old()
    behind.new()
    assert not behind.switched
    behind.new()
    assert behind.switched
    assert not behind.catch_up.done
    behind.finish()
    assert behind.delivered == stream
    assert behind.catch_up.done


def test_a_topic_without_records_needs_the_barrier() -> None:
    stream = [trade(at) for at in range(6)]
    overlap = Overlap(stream, 1, (ES,))
    for _ in range(5):
        overlap.old()
        overlap.new()
    assert not overlap.switched
    assert set(overlap.handover.open_topics()) == set(topics((ES,)))
    overlap.barrier()
    assert overlap.switched


def test_the_barrier_counts_only_what_stood_still() -> None:
    handover = Handover(topics((MNQ,)))
    before = handover.counts()
    handover.old(trade(1))
    handover.meet(before)
    assert ("GatewayTrade", MNQ) in handover.open_topics()
    assert ("GatewayQuote", MNQ) not in handover.open_topics()


def test_a_snapshot_at_the_start_of_the_quotes_is_no_obstacle() -> None:
    handover = Handover([("GatewayQuote", MNQ)])
    stream = [quote(at, 100 + at) for at in range(6)]
    for event in stream[:3]:
        handover.old(event)
    handover.new(quote(2, 777), 1)  # the merged quote, as it stands: the old connection never got this record
    handover.new(stream[3], 2)
    handover.new(stream[4], 3)
    assert not handover.ready
    handover.old(stream[3])
    assert handover.ready
    due, catch_up = handover.take_over()
    assert due == [(stream[4], 3)]
    assert catch_up.done


def test_a_snapshot_when_both_connections_begin_to_be_watched_at_the_same_record() -> None:
    """The new sequence is then longer than the old one by the snapshot."""
    handover = Handover([("GatewayQuote", MNQ)])
    stream = [quote(at, 100 + at) for at in range(1, 5)]
    handover.new(quote(0, 777), 1)
    for event in stream:
        handover.old(event)
        handover.new(event, 2)
    assert handover.ready
    handover.new(quote(9, 1), 3)
    due, catch_up = handover.take_over()
    assert due == [(quote(9, 1), 3)]
    assert catch_up.done


def test_connections_that_differ_are_no_handover() -> None:
    handover = Handover([("GatewayTrade", MNQ)])
    for event in (trade(1), trade(2), trade(3)):
        handover.old(event)
    handover.new(trade(1), 1)
    handover.new(trade(2), 2)
    assert handover.ready
    handover.new(trade(4), 3)
    assert handover.problem
    assert not handover.ready
    assert [event for event, _ in handover.remains()] == [trade(1), trade(2), trade(4)]


def test_a_frozen_old_connection_cannot_be_matched() -> None:
    handover = Handover([("GatewayTrade", MNQ)])
    for at in range(50):
        handover.new(trade(at), at)
    assert not handover.ready
    handover.meet(handover.counts())
    assert handover.problem


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tbot.gateway.handover.MAX_RECORDS", 20)
    handover = Handover([("GatewayTrade", MNQ)])
    for at in range(41):
        handover.new(trade(at), at)
    assert handover.problem


def test_what_is_no_quote_or_trade_has_no_topic() -> None:
    assert topic_and_time(Invocation("GatewayLogout", b"[]")) is None
    assert topic_and_time(Invocation("GatewayTrade", b'["A",[{"timestamp":"noon"}]]')) is None
    assert topic_and_time(Invocation("GatewayTrade", b'["A",[]]')) is None
    assert topic_and_time(Invocation("GatewayQuote", b'["A",{}]')) is None
    assert topic_and_time(Invocation("GatewayQuote", b"[" * 20_000)) is None
    one = Invocation("GatewayTrade", b'["A",{"timestamp":"2026-11-20T15:00:00Z"}]')  # documented as a bare object
    assert topic_and_time(one) == (("GatewayTrade", "A"), 1_795_186_800 * 10**9)
    assert barrier("A")[0] == "UnsubscribeContractMarketDepth"


def test_what_should_come_again_and_does_not_is_a_problem_not_a_silent_loss() -> None:
    """Passing over by number alone would swallow records that are new."""
    handover = Handover([("GatewayTrade", MNQ)])
    for at in range(1, 7):
        handover.old(trade(at))
    handover.new(trade(2), 1)
    handover.new(trade(3), 2)
    due, catch_up = handover.take_over()
    assert due == []
    assert not catch_up.passes(trade(4))
    assert catch_up.passes(trade(6))  # 5 never came
    assert catch_up.problem
    assert catch_up.done
    assert catch_up.passes(trade(7))
