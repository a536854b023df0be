"""Figures for Prometheus: what the status and the rings say, in Prometheus' own text, and nothing that identifies."""

import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import orjson
import pytest

pytest.importorskip("prometheus_client")

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from engine_runs import running, until
from status_rig import account, child, family, settings
from tbot.domain.contracts import PRODUCTS
from tbot.engine.metrics import EngineCollector, serve
from tbot.engine.status import Phase, build_status
from tbot.transport.shm import Segment, run_directory
from tbot_ext.records import Kind
from tbot_ext.ring import RingWriter, format_ring, ring_bytes

pytestmark = pytest.mark.extra

Samples = dict[tuple[str, tuple[str, ...]], float]


def scraped(status: Path, run_dir: Path | None = None) -> Samples:
    """(name, label values) -> value, read back by Prometheus' own parser."""
    registry = CollectorRegistry()
    registry.register(EngineCollector(status, lambda: run_dir))
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for metric in text_string_to_metric_families(text)
        for sample in metric.samples
    }


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    more = {"day_room_cents": 70_000, "firm": {"to_floor_cents": 123_456}, "flat": False}
    place = {"contract": "MNQ", "side": -1, "size": 3}
    first = account(name="50KTC-V2-SECRET", day_pnl_cents=-2_050, positions=[place], **more)
    second = account(name="PRAC-X", flat=True, firm=None, day_room_cents=None)
    children = family({"987654": first, "2": second}, alarms=[{"code": "RC_X", "text": "look"}] * 2)
    children["sim"] = child("sim", beats=False)
    return build_status(settings(tmp_path), children, time.monotonic_ns(), Phase())


def written(tmp_path: Path, document: dict[str, Any]) -> Path:
    path = tmp_path / "status.json"
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS))
    return path


def test_the_status_becomes_figures(tmp_path: Path, document: dict[str, Any]) -> None:
    found = scraped(written(tmp_path, document))
    assert found["tbot_up", ()] == 1
    assert found["tbot_pnl_day_usd", ("a1",)] == -20.5
    assert found["tbot_position_contracts", ("a1", "MNQ")] == -3
    assert found["tbot_limit_distance_usd", ("a1", "day")] == 700
    assert found["tbot_limit_distance_usd", ("a1", "floor")] == 1234.56
    assert ("tbot_limit_distance_usd", ("a2", "day")) not in found
    assert (found["tbot_flat", ("a1",)], found["tbot_flat", ("a2",)]) == (0, 1)
    assert found["tbot_bars_total", ("MNQ", "1m")] == document["contracts"]["MNQ"]["bars"]["1m"]
    assert found["tbot_latency_seconds", ("frame_ring", "0.99")] == pytest.approx(20e-9)
    assert found["tbot_latency_samples_total", ("frame_ring",)] == 2
    assert found["tbot_alarm", ("RC_X",)] == 1
    states = {labels[0]: value for (name, labels), value in found.items() if name == "tbot_state"}
    assert sum(states.values()) == 1
    assert states[document["state"]] == 1


def test_I30_nothing_that_names_an_account_is_served(tmp_path: Path, document: dict[str, Any]) -> None:
    registry = CollectorRegistry()
    registry.register(EngineCollector(written(tmp_path, document), lambda: None))
    text = generate_latest(registry).decode()
    for word in ("987654", "SECRET", "PRAC"):
        assert word not in text


@pytest.mark.parametrize(
    "change",
    [{"ended": True}, {"written_ns": 1}, {"schema": "another"}],
    ids=["ended", "old", "not a status"],
)
def test_a_run_that_is_not_there_is_down(tmp_path: Path, document: dict[str, Any], change: dict[str, Any]) -> None:
    assert scraped(written(tmp_path, document | change))["tbot_up", ()] == 0
    assert scraped(tmp_path / "missing.json") == {("tbot_up", ()): 0}
    (tmp_path / "status.json").write_bytes(b'{"schema": ')
    assert scraped(tmp_path / "status.json") == {("tbot_up", ()): 0}


def test_a_run_whose_launcher_is_gone_is_down_at_once_and_its_last_tick_grows_old(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    document["contracts"]["MNQ"]["last_tick_age_s"] = 1.0
    path = written(tmp_path, document | {"written_ns": time.time_ns() - 20 * 10**9})
    for lives in (True, False):
        registry = CollectorRegistry()
        registry.register(EngineCollector(path, lambda: None, lambda told, lives=lives: lives))
        assert registry.get_sample_value("tbot_up") == float(lives)
        assert (registry.get_sample_value("tbot_feed_age_seconds", {"symbol": "MNQ"}) or 0) >= 21


def test_ticks_and_their_age_come_from_the_rings_and_no_readers_place_is_taken(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    folder = run_directory(tmp_path)
    segment = Segment.create(folder, "ring.MNQ", ring_bytes(64))
    format_ring(segment.buf, 64, PRODUCTS["MNQ"].contract_id, 1)
    before = bytes(segment.buf)
    status = written(tmp_path, document)
    assert scraped(status, folder)["tbot_ticks_total", ("MNQ",)] == 0
    with RingWriter(segment.buf) as writer:
        for number in range(70):  # once around
            writer.push(int(Kind.TRADE), 5, time.time_ns() - (70 - number) * 10**9, 100)
    mid = bytes(segment.buf)
    found = scraped(status, folder)
    assert found["tbot_ticks_total", ("MNQ",)] == 70
    assert 1 <= found["tbot_feed_age_seconds", ("MNQ",)] < 60
    assert found["tbot_ticks_total", ("ES",)] == document["contracts"]["ES"]["ticks"], "no ring: what the status says"
    assert bytes(segment.buf) == mid != before
    segment.close()
    segment.unlink()


def test_it_is_served_on_loopback(tmp_path: Path, document: dict[str, Any]) -> None:
    port = serve(written(tmp_path, document), lambda: None, 0)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        assert b"tbot_up 1.0" in answer.read()


@pytest.mark.long
def test_a_real_run_serves_its_figures_and_its_exporter_ends_with_it(tmp_path: Path) -> None:
    """Also when the launcher is killed: the exporter notices that nobody holds its other end any more."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def series() -> dict[str, float]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        families = text_string_to_metric_families(text)
        return {sample.name: sample.value for family in families for sample in family.samples}

    with running(tmp_path, "run", "-q", "--contracts", "MNQ", "--metrics", str(port)) as command:
        until(lambda: series().get("tbot_up") == 1 and series().get("tbot_ticks_total", 0) > 100, "figures", 180)
        assert series()["tbot_feed_age_seconds"] < 60
        command.process.kill()
        until(lambda: not series(), "the exporter is gone", 60)
