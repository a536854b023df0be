"""The parts of the engine's benches that decide what a figure means."""

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cost_curve
import hop_floors
import numpy as np
import often
import pytest
import soak
import tick_to_signal
from engine_run import (
    START,
    HopTail,
    S,
    Trace,
    cells,
    exchange_to_frame,
    hops_of,
    percentiles,
    shared_out,
    write_tape,
)

from tbot.engine.health import Hops
from tbot.storage.tape import TapeReader


def test_percentiles_are_values_that_occurred() -> None:
    values = np.arange(1, 1001, dtype=np.int64)[::-1]
    assert percentiles(values) == {"p50": 500, "p90": 900, "p99": 990, "p99.9": 999, "max": 1000, "n": 1000}
    assert percentiles(values[:0]) == {"n": 0}


def test_a_percentile_with_nothing_beyond_it_is_not_shown() -> None:
    assert cells(np.full(99, 1_000_000)) == ["1,000", "1,000", "-", "-", "1,000", "99"]
    assert cells(np.full(1000, 1_500)) == ["1.50", "1.50", "1.50", "1.50", "1.50", "1000"]


def test_a_hop_needs_both_stamps_and_is_never_negative() -> None:
    whole, denied = Trace(100, 90, 250, 400, approved=500, request=900), Trace(100, 120, 250, 400)
    assert hops_of([whole, denied], "frame", "woke").tolist() == [0, 20]
    assert hops_of([whole, denied], "sent", "request").tolist() == [650]


def test_a_tape_has_the_rates_that_were_asked_for(tmp_path: Path) -> None:
    rates = shared_out(("MNQ", "GC"), np.array([1700.0, 0.0, 3400.0]))
    count = write_tape(tmp_path / "t.tape", rates, speed=10.0)
    with TapeReader(tmp_path / "t.tape") as reader:
        ticks = np.concatenate(list(reader.blocks()))
    assert len(ticks) == count
    assert (np.diff(ticks["exch_ns"]) >= 0).all()
    by_second = np.bincount((ticks["exch_ns"] - START) // (10 * S), minlength=3)
    assert by_second[1] == 0
    assert abs(by_second[0] - 1700) < 250
    assert abs(by_second[2] - 3400) < 350
    of_gold = (ticks["contract_id"] == ticks["contract_id"].max()).mean()
    assert 0.08 < of_gold < 0.16  # 2 of 17 parts


def test_exchange_time_is_mapped_by_the_simulators_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine_run.boot_of_wall_ns", lambda: 0)
    ticks = np.zeros(1, [("exch_ns", "<i8"), ("recv_ns", "<i8")])
    ticks["exch_ns"], ticks["recv_ns"] = START + 60 * S, 5 * S + S + 7_000_000
    clock = {"market_ns": START, "boot_ns": 5 * S, "speed": 60.0}
    assert exchange_to_frame(ticks, clock).tolist() == [7_000_000]


def test_the_tail_of_kept_latencies_gives_each_value_once(tmp_path: Path) -> None:
    tail, path = HopTail(tmp_path), tmp_path / "feed.hops"
    path.write_text('{"boot_ns": 1, "hops": {"frame_ring": [5, 6]}}\n{"boot_ns": 2, "ho')
    assert {name: values.tolist() for name, values in tail.take().items()} == {"frame_ring": [5, 6]}
    with path.open("a") as file:
        file.write('ps": {"frame_ring": [7]}}\n')
    assert {name: values.tolist() for name, values in tail.take().items()} == {"frame_ring": [7]}


def test_kept_latencies_stand_for_the_engines_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(often.KeptHops, "folder", tmp_path, raising=False)
    monkeypatch.setattr(often.KeptHops, "process", "feed", raising=False)
    plain, kept = Hops("frame_ring", "drain"), often.KeptHops("frame_ring", "drain")
    for hops in (plain, kept):
        hops.record("frame_ring", 5_000)
        hops.record("frame_ring", 7_000, 3)  # a batch of the feed: one look at the clock for all of its records
    assert kept.status() == plain.status()
    found = HopTail(tmp_path).take()
    assert {name: values.tolist() for name, values in found.items()} == {"frame_ring": [5_000, 7_000, 7_000, 7_000]}


def test_kept_latencies_are_called_as_the_engine_calls_its_own() -> None:
    calls = [inspect.signature(kind.record).parameters.values() for kind in (Hops, often.KeptHops)]
    assert list(calls[0]) == list(calls[1])


@pytest.mark.parametrize(("power", "faster"), [(0.0, False), (1.0, False), (1.05, False), (1.3, True), (2.0, True)])
def test_the_exponent_of_a_known_curve(power: float, faster: bool) -> None:
    found = cost_curve.fit([(x, [x**power * by for by in (0.99, 1.0, 1.01)]) for x in (1.0, 2.0, 4.0, 8.0)])
    assert found.power == pytest.approx(power, abs=0.01)
    assert found.faster is faster


def test_a_fixed_cost_does_not_hide_growth_at_the_large_end() -> None:
    found = cost_curve.fit([(x, [30 + x**2] * 3) for x in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)])
    assert found.faster


def test_noise_alone_is_no_growth() -> None:
    found = cost_curve.fit([(1.0, [1.0, 1.0, 1.0]), (2.0, [1.8, 2.0, 2.9]), (4.0, [3.8, 4.0, 5.9])])
    assert not found.faster


def minute(number: int, *, missing: int = 0, uss_mb: float = 50.0, p99: int = 1_000_000) -> soak.Minute:
    return soak.Minute(
        number, prints=100, missing=missing, uss_mb={"feed": uss_mb}, worker={"p99": p99, "max": 2 * p99, "n": 100}
    )


def verdicts(minutes: list[soak.Minute], losses: dict[str, int] | None = None) -> dict[str, bool]:
    return {name: good for name, (good, _) in soak.judge(minutes, losses or {"gaps": 0}).items()}


def test_the_soaks_verdicts() -> None:
    well = [minute(number) for number in range(1, 11)]
    assert verdicts(well) == {"nothing lost": True, "memory flat": True, "latency bounded": True}
    assert not verdicts([*well[:-1], minute(10, missing=1)])["nothing lost"]
    assert not verdicts(well, {"gaps": 0, "left in rings": 1})["nothing lost"]
    assert not verdicts([minute(number, uss_mb=50.0 + number) for number in range(1, 11)])["memory flat"]
    assert not verdicts([minute(number, p99=number * 10_000_000) for number in range(1, 11)])["latency bounded"]
    assert not verdicts([*well[:-1], minute(10, p99=1_500_000_000)])["latency bounded"]


def test_a_print_that_is_missing_changed_or_doubled_is_found(tmp_path: Path) -> None:
    write_tape(tmp_path / "t.tape", {"MNQ": np.full(4, 50.0)}, 1.0)
    with TapeReader(tmp_path / "t.tape") as reader:
        ticks = np.concatenate(list(reader.blocks()))
        looker: Any = SimpleNamespace(_reader=reader)
        prints = ticks[ticks["kind"] == soak.Kind.TRADE]
        changed = prints.copy()
        changed["price"][7] += 1
        for arrived, wrong in (
            (prints, 0),
            (np.delete(prints, 3), 1),
            (changed, 1),
            (np.concatenate([prints, prints[-1:]]), 1),
            (prints[:0], len(prints)),
        ):
            found = soak.Soak._compare(looker, "MNQ", arrived, START, START + 4 * S)
            assert found == (len(prints), wrong)


def test_a_cell_is_overloaded_when_too_little_arrives_or_the_bench_was_lapped() -> None:
    assert not tick_to_signal.Cell(65, offered=1000, arrived=985).overloaded()
    assert tick_to_signal.Cell(65, offered=1000, arrived=975).overloaded()
    assert tick_to_signal.Cell(65, offered=1000, arrived=1000, lost=1).overloaded()


def test_own_code_is_decoding_and_the_deciding_turn() -> None:
    cell = tick_to_signal.Cell(65)
    decoding, deciding = np.array([4_000, 5_000, 90_000]), np.array([9_000, 10_000, 11_000])
    cell.hops = {"frame > ring": [decoding], "woke > signal": [deciding]}
    assert cell.own_code_us() == 15.0


def test_ratios_are_of_medians_against_the_right_floor() -> None:
    samples = {
        "C futex": np.array([20_000]), "C spin": np.array([100]), "ring, asleep": np.array([30_000]),
        "ring, spinning": np.array([150]), "ring from Python, spinning": np.array([300]),
    }  # fmt: skip
    found = {name: one["ratio"] for name, one in hop_floors.ratios(samples).items()}
    assert found == {"ring, asleep": 1.5, "ring, spinning": 1.5, "ring from Python, spinning": 3.0}


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ({}, {}),
        ({"sent": 101}, {"not received": 1}),
        ({"accepted": 98}, {"dropped by the feed": 2}),
        ({"lost": 3, "counted": 97}, {"lapped by workers": 3}),
        ({"lost": 3}, {"lapped by workers": 3, "passed but not counted": 3}),
        ({"counted": 99}, {"passed but not counted": 1}),
        ({"counted": 101}, {"passed but not counted": 1}),
        ({"position": 90, "counted": 90}, {"left in rings": 10}),
        ({"position": 102, "counted": 102}, {}),  # clock records that came after the tape
        ({"told by the feed": 99}, {}),  # its word is older than the worker's
        ({"gaps": 1}, {"gaps": 1}),
    ],
)
def test_a_loss_between_two_processes_is_named(change: dict[str, int], lost: dict[str, int]) -> None:
    figures = {"sent": 100, "accepted": 100, "lost": 0, "position": 100, "counted": 100, "gaps": 0} | change
    contract = {
        "ticks": figures.get("told by the feed", 100),
        "lost": figures["lost"],
        "position": figures["position"],
        "counters": {"ticks": figures["counted"]},
    }
    status = {
        "feed": {"items": 100, "accepted": figures["accepted"]},
        "gaps": figures["gaps"],
        "contracts": {"MNQ": contract},
    }
    sent = {"prints": 40, "quotes": figures["sent"] - 41, "snapshots": 1}
    assert {name: count for name, count in soak.chain(status, sent, {"MNQ": 100}, 0).items() if count} == lost
