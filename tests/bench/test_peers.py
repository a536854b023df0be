"""The comparison with peers without any peer: the table, what counts as equal, and how a side that fails is told."""

import functools
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interop_env
from shared_data import ROOT

FOLDERS = [str(ROOT / part) for part in ("bench/peers", "bench", "tests/interop")]
OWN = """
import sys
sys.path.insert(0, {peers!r})
import numpy as np
from protocol import Measure, serve

def make(job):
    print("noise of a library")
    return {{"sum": Measure(lambda: np.arange({n}), {n}, lambda result: {{"total": result.cumsum()}}, notes={notes})}}

{trouble}
serve(make)
"""


@pytest.fixture(autouse=True)
def peers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folders of the benchmark as its command has them; their modules are gone afterwards, whatever their names."""
    monkeypatch.setattr(sys, "path", [*FOLDERS, *sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "bench")):
            del sys.modules[name]


def script(folder: Path, n: int = 5, trouble: str = "", notes: str = "{}") -> str:
    path = folder / f"side{n}{len(trouble)}{len(notes)}.py"
    path.write_text(OWN.format(peers=FOLDERS[0], n=n, trouble=trouble, notes=notes))
    return str(path)


def work(theirs: str, ours: str, **more: Any) -> Any:
    """A comparison of two scripts in the running interpreter."""
    import equal
    from works import Peer, Prepared, Work

    def prepare(folder: Path, quick: bool) -> Any:
        return Prepared({"data": ""}, {"data": ""}, "five numbers", equal.columns_equal)

    pairs = (("sums", "sum", "sum"),)
    peer = more.pop("peer", Peer("numpy", ("numpy",), "numpy"))
    return Work("sums", peer, theirs, ours, "json", pairs, "number", prepare)


def compared(one: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[str]]:
    """(rows, what was told on the way), with the running interpreter for every peer."""
    import compare

    monkeypatch.setattr(interop_env, "python_env", lambda *_, **__: Path(sys.executable))
    monkeypatch.setattr(compare, "import_seconds", functools.partial(compare.import_seconds, rounds=1))
    told: list[str] = []
    return compare.compare(one, True, told.append), told


def test_two_equal_sides_make_a_row_with_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from table import render

    side = script(tmp_path, notes="{'compiled before, s': 1.5}")
    rows, told = compared(work(side, script(tmp_path)), monkeypatch)
    (row,) = rows
    assert (row.equal, row.reason) == ("yes", "")
    assert len(row.theirs) == len(row.ours) == 2
    assert min(row.memory_mb) > 5
    assert told[-1] == "sums: round 2 of 2"
    head, rule, line = render(rows).splitlines()
    assert head.count("|") == rule.count("|") == line.count("|") == 9
    assert f"numpy {np.__version__} on Python {sys.version_info[0]}.{sys.version_info[1]}" in line
    assert "compiled before, s: 1.5" in line
    assert "sums; five numbers" in line


def test_sides_that_differ_are_told_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = compared(work(script(tmp_path, 5), script(tmp_path, 6)), monkeypatch)
    assert rows[0].equal == "no: total has 5 rows, ours 6"


def test_a_side_that_fails_is_one_line_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from table import render

    broken = script(tmp_path, trouble="raise ValueError('no such | book')")
    rows, _ = compared(work(broken, script(tmp_path)), monkeypatch)
    assert rows[0].reason == "numpy ended with 1: ValueError: no such | book"
    assert render(rows).splitlines()[2].count("|") == 9
    assert "not run: numpy ended with 1: ValueError: no such / book" in render(rows)


def test_a_peer_that_cannot_be_installed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import compare
    from works import Peer

    def run(*command: str, cwd: Path | None = None) -> None:
        """As the cache of environments runs pip, with what pip says of a name that its index does not have."""
        if "pip" in command:
            text = "Looking in indexes\nERROR: No matching distribution found for no-such-peer==1\n"
            raise AssertionError(f"{' '.join(command)} ended with 1:\n{text}")

    monkeypatch.setenv("TBOT_INTEROP_CACHE", str(tmp_path / "envs"))
    monkeypatch.setattr(interop_env, "_run", run)
    rows = compare.compare(work("a.py", "b.py", peer=Peer("no-such-peer", ("no-such-peer==1",), "x")), True, str)
    assert len(rows) == 1
    assert rows[0].reason == "its installation failed: ERROR: No matching distribution found for no-such-peer==1"
    assert not list((tmp_path / "envs").iterdir()), "half an environment was left"


def test_a_peer_for_which_python_is_too_old_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import compare
    from works import Peer

    monkeypatch.setattr(interop_env, "find_python", lambda minimum: None)
    rows = compare.compare(work("a.py", "b.py", peer=Peer("newest", ("newest",), "x", (3, 99))), True, str)
    assert rows[0].reason == "needs Python 3.99 or newer, and there is none on this machine"


def test_columns_are_equal_to_the_bit_with_nan_equal_to_nan() -> None:
    from equal import columns_equal

    one = {"a": np.array([1.0, np.nan, 3.0]), "b": np.array([1, 2])}
    assert columns_equal(one, {name: column.copy() for name, column in one.items()}) == "yes"
    other = one | {"a": np.array([1.0, np.nan, 3.0 + 1e-15 * 4])}
    assert columns_equal(one, other).startswith("no: a differs in 1 of 3 values, first at (2,): 3.0, ours 3.0")
    assert columns_equal(one, {"a": one["a"]}) == "no: columns ['b'] on one side only"
    assert columns_equal(one, one | {"a": np.array([1.0, 2.0, 3.0])}).startswith("no: a differs in 1 of 3")


def trades(**more: Any) -> dict[str, Any]:
    columns = {"side": [1, -1], "entry": [100, 120], "exit": [110, 125], "opened_ns": [0, 60], "closed_ns": [30, 90]}
    return {name: np.array(values, np.int64) for name, values in (columns | more).items()}


def test_trades_are_equal_by_side_and_price_and_nearly_by_time() -> None:
    from equal import trades_equal

    assert trades_equal(trades(opened_ns=[1, 61]), trades()) == "yes, 2 trades"
    told = trades_equal(trades(exit=[110, 126]), trades())
    assert told == "no: 2 trades, ours 2, 1 the same in order; trade 1: (-1, 120, 126), ours (-1, 120, 125)"
    assert "closed_ns is up to 5.000 s apart" in trades_equal(trades(closed_ns=[30, 5 * 10**9 + 90]), trades())
    one = {name: column[:1] for name, column in trades().items()}
    assert trades_equal(one, trades()).endswith("trade 1: none, ours (-1, 120, 125)")
    none = {name: column[:0] for name, column in trades().items()}
    assert trades_equal(none, none).startswith("no: ")


def test_lost_quotes_are_counted() -> None:
    from equal import delivered

    def quotes(n: int) -> dict[str, Any]:
        return {"bid": np.arange(n), "ask": np.arange(n) + 2}

    assert delivered(quotes(10), quotes(10), 10) == "yes: all 10 quotes"
    assert delivered(quotes(3), quotes(10), 10) == "no: 70.0% of 10 quotes lost, ours 0.0%"


@pytest.mark.parametrize(
    ("shape", "theirs", "text"),
    [
        ("time", [2e-9, 3e-9, 4e-9], "3.00 ns a tick (2.20 to 3.80)"),
        ("time", [0.02] * 2, "20.0 ms a tick (20.0 to 20.0)"),
        ("time", [150.0], "150 s a tick (150 to 150)"),
        ("time", [5e-11], "0.05 ns a tick (0.05 to 0.05)"),
        ("rate", [1e-5, 2e-5, 3e-5], "50,000 ticks/s (35,714 to 83,333)"),
    ],
)
def test_figures_are_medians_with_their_span(shape: Any, theirs: list[float], text: str) -> None:
    from table import Row, figure

    assert figure(Row("w", "p", unit="tick", shape=shape), theirs) == text


def test_the_ratio_says_how_many_times_ours_is_shorter() -> None:
    from table import Row, cells

    row = Row("w", "p", unit="bar", theirs=[8e-6, 1e-5, 5e-5], ours=[2e-6], equal="yes")
    assert cells(row)[4] == "5.00"
    assert row.document()["theirs_percentiles"]["p50"] == pytest.approx(1e-5)


def test_times_rise_strictly_and_a_quote_stands_right_before_its_print(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the synthetic days, so that the shared data need not be there."""
    import datafiles
    import market_files

    monkeypatch.setattr(datafiles, "shared_file", lambda relative: None)
    prints, source = datafiles.prints(datafiles.INDEX, 60_000)
    assert source == "synthetic prints, seed 11"
    assert np.diff(prints["exch_ns"]).min() >= 1
    records = market_files.tick_market(prints)
    quotes, after = records[::2], records[1::2]
    assert (np.diff(records["exch_ns"]) >= 1).all()
    assert (after["exch_ns"] - quotes["exch_ns"] == 1).all()
    assert (quotes["price"] == after["price"]).all()
    assert (quotes["price2"] == after["price"] + 1).all()
    assert np.abs(after["exch_ns"] - prints["exch_ns"]).max() < 1_000_000


def test_the_server_answers_negotiation_and_sends_every_quote() -> None:
    from quote_server import CONTRACT, QuoteServer

    from raw_hub import RawHub

    before = threading.active_count()  # of other tests of this process, too
    server = QuoteServer(20)
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.sendall(b"POST /hubs/market/negotiate?negotiateVersion=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = link.recv(65536)
    assert b"200 OK" in answer
    assert b'"WebSockets"' in answer
    with RawHub(f"http://127.0.0.1:{server.port}/hubs/market") as hub:
        wanted = {"type": 1, "invocationId": "7", "target": "SubscribeContractQuotes", "arguments": [CONTRACT]}
        hub.send(json.dumps(wanted).encode() + b"\x1e")
        assert b'"invocationId": "7"' in hub.frame()[1]
        records = [hub.frame()[1] for _ in range(20)]
    assert all(b'"GatewayQuote"' in one and one.endswith(b"\x1e") for one in records)
    assert len(set(records)) == 20
    assert threading.active_count() < before + 20


def test_a_name_that_nobody_has_is_refused_with_those_that_there_are() -> None:
    import run

    with pytest.raises(SystemExit, match=r"no such work or peer: nonsense; there are .*hftbacktest"):
        run.chosen("pandas, nonsense")
    assert [work.name for work in run.chosen("pandas,wire-pysignalr")] == ["wire-pysignalr", "bars-pandas"]
    assert run.chosen("") == list(run.WORKS)
