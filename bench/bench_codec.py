r"""What does one frame of the market hub cost on its way into records, by each reader?

No budget of its own: it is the second half of "wire to ring" (bench_wire.py). The peers are parsers that only make
Python objects of the JSON and check nothing: the standard library's, orjson and msgspec untyped, in the same run.
Run: python -m pytest -s --benchmark-timer=time.process_time \
    -o python_files='bench_*.py' -o python_functions='bench_*' bench/bench_codec.py
Reference machine: 2 virtual cores of a shared x86-64 server.
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest
from frame_server import CONTRACTS, NOW_NS, quote, trade

from tbot.domain.contracts import PRODUCTS
from tbot.gateway import signalr
from tbot.gateway.codec_market import MarketDecoder

FRAMES = 2_000
KINDS: dict[str, Callable[[int], bytes]] = {"quote": quote, "trade of 2 prints": trade}
PARSERS = {"json": json.loads, "orjson": orjson.loads, "msgspec": msgspec.json.decode}


def decoder() -> MarketDecoder:
    return MarketDecoder({CONTRACTS[0]: PRODUCTS["MNQ"]})


def note(benchmark: Any) -> None:
    each = benchmark.stats.stats.median / FRAMES * 1e6
    benchmark.extra_info["us_per_frame"] = round(each, 3)
    print(f"\n{benchmark.name}: {each:.2f} us per frame")


@pytest.mark.parametrize("kind", KINDS)
def bench_scanner(benchmark: Any, kind: str) -> None:
    """Bytes to ticks that wait for their ring, in steps of 256 records."""
    stream = b"".join(KINDS[kind](number) for number in range(FRAMES))

    def run() -> int:
        subject, at, taken = decoder(), 0, 0
        while at < len(stream):
            at, records, _ = subject.scan(stream, at, NOW_NS, NOW_NS)
            taken += records
        return taken

    assert benchmark.pedantic(run, rounds=30, warmup_rounds=1) == FRAMES
    note(benchmark)


@pytest.mark.parametrize("kind", KINDS)
def bench_scanner_frame_by_frame(benchmark: Any, kind: str) -> None:
    """The same when each frame comes alone, as at live rates."""
    frames = [KINDS[kind](number) for number in range(FRAMES)]

    def run() -> int:
        scan = decoder().scan
        return sum(scan(frame, 0, NOW_NS, NOW_NS)[1] for frame in frames)

    assert benchmark.pedantic(run, rounds=20, warmup_rounds=1) == FRAMES
    note(benchmark)


@pytest.mark.parametrize("kind", KINDS)
def bench_general_decoder(benchmark: Any, kind: str) -> None:
    """Envelope and arguments by msgspec, every number checked in Python: what the scanner leaves goes this way."""
    frames = [KINDS[kind](number)[:-1] for number in range(FRAMES)]

    def run() -> int:
        subject, taken = decoder(), 0
        for frame in frames:
            event = signalr.parse_record(frame)
            assert isinstance(event, signalr.Invocation)
            taken += subject.decode(event, NOW_NS, NOW_NS) is not None
        return taken

    assert benchmark.pedantic(run, rounds=10, warmup_rounds=1) == FRAMES
    note(benchmark)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("kind", KINDS)
def bench_parser_alone(benchmark: Any, kind: str, parser: str) -> None:
    frames = [KINDS[kind](number)[:-1] for number in range(FRAMES)]
    parse = PARSERS[parser]

    def run() -> None:
        for frame in frames:
            parse(frame)

    benchmark.pedantic(run, rounds=10, warmup_rounds=1)
    note(benchmark)
