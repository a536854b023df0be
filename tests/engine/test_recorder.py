"""Tapes of live ticks: what is in which file, what a crash leaves, what a lapped reader says."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from lively_tape import lively
from small_files import files_up_to
from tbot.domain.contracts import PRODUCTS
from tbot.engine.recorder import TapeFiles, TickPen, take_rows
from tbot.errors import DataError
from tbot.storage.tape import TapeReader, TapeWriter, tape_meta
from tbot_ext.records import TICK_DTYPE, Kind
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

MNQ, ES = PRODUCTS["MNQ"], PRODUCTS["ES"]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def ticks_at(*times: int, contract_id: int = 1) -> np.ndarray:
    ticks = np.zeros(len(times), TICK_DTYPE)
    ticks["exch_ns"], ticks["kind"], ticks["size"], ticks["volume"] = times, Kind.TRADE, 1, -1
    ticks["price"] = np.arange(len(times)) + 100
    ticks["contract_id"] = contract_id
    return ticks


def read(path: Path) -> np.ndarray:
    with TapeReader(path) as tape:
        tape.verify()
        return tape.ticks


# ------------------------------------------------------------------------------------------------------------ files
def test_one_file_per_trading_day_and_never_back(tmp_path: Path) -> None:
    files = TapeFiles(tmp_path / "tapes", [MNQ], "test")
    before, after = at("2026-11-19T22:59:59"), at("2026-11-19T23:00:00")  # 17:00 in Chicago
    files.write(ticks_at(before - 5, before))
    files.write(ticks_at(before + 1, after, before + 2, after + 1))  # a late print stays where the tape is
    files.close()
    assert [path.name for path in files.files] == ["2026-11-19.tape", "2026-11-20.tape"]
    assert read(files.files[0])["exch_ns"].tolist() == [before - 5, before, before + 1]
    assert sorted(read(files.files[1])["exch_ns"].tolist()) == [before + 2, after, after + 1]
    assert files.counts["trades"] == files.counts["MNQ"] == 6


def test_I29_the_file_of_the_next_day_names_the_month_of_its_day(tmp_path: Path) -> None:
    files = TapeFiles(tmp_path, [MNQ], "test", months={"MNQ": "CON.F.US.MNQ.Z26"})
    files.write(ticks_at(at("2026-11-19T22:00")))
    files.describe(months={"MNQ": "CON.F.US.MNQ.H27"})
    files.write(ticks_at(at("2026-11-20T22:00")))
    files.close()
    found = []
    for path in files.files:
        with TapeReader(path) as tape:
            found.append(tape.meta["months"]["MNQ"][-3:])
    assert found == ["Z26", "H27"]


def test_a_file_name_takes_everything(tmp_path: Path) -> None:
    files = TapeFiles(tmp_path / "all.tape", [MNQ], "test", months={"MNQ": "CON.F.US.MNQ.Z26"})
    files.write(ticks_at(at("2026-11-19T22:00"), at("2026-11-20T22:00"), at("2026-11-23T22:00")))
    files.close()
    assert files.files == [tmp_path / "all.tape"]
    with TapeReader(tmp_path / "all.tape") as tape:
        assert len(tape) == 3
        assert tape.meta["source"] == "test"
        assert tape.meta["months"] == {"MNQ": "CON.F.US.MNQ.Z26"}


def test_a_tape_of_today_is_continued(tmp_path: Path) -> None:
    when = at("2026-11-19T12:00")
    for number in range(3):
        files = TapeFiles(tmp_path, [MNQ, ES], "test")
        files.write(ticks_at(when + number))
        files.close()
        assert files.counts["resumed"] == (number > 0)
    assert len(read(tmp_path / "2026-11-19.tape")) == 3


def test_what_lies_there_is_never_overwritten(tmp_path: Path) -> None:
    when = ticks_at(at("2026-11-19T12:00"))
    path = tmp_path / "2026-11-19.tape"
    path.write_text("my diary")
    with pytest.raises(DataError, match="not a tape"):
        TapeFiles(tmp_path, [MNQ], "test").write(when)
    assert path.read_text() == "my diary"
    path.unlink()
    with TapeWriter(path, tape_meta([ES], "test")) as other:
        other.write(ticks_at(5, contract_id=ES.contract_id))
    with pytest.raises(DataError, match="other contracts"):
        TapeFiles(tmp_path, [MNQ], "test").write(when)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be made"):
        TapeFiles(tmp_path / "file" / "below", [MNQ], "test")


CRASH = """
import os, signal, sys
sys.path[:0] = {path!r}
from pathlib import Path
from lively_tape import lively
from tbot.domain.contracts import PRODUCTS
from tbot.engine.recorder import TapeFiles
files = TapeFiles(Path({folder!r}), [PRODUCTS["MNQ"]], "test")
ticks = lively(("MNQ",), opened=False)
files.write(ticks[:1500])
files.flush()
print("flushed", flush=True)
files.write(ticks[1500:3000])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_F_PRC_01_what_was_flushed_is_there_after_a_kill(tmp_path: Path) -> None:
    code = CRASH.format(path=[path for path in sys.path if path], folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == "flushed\n"
    found = read(tmp_path / "2026-11-20.tape")
    assert len(found) >= 1500
    assert found[:1500].tobytes() == lively(("MNQ",), opened=False)[:1500].tobytes()
    files = TapeFiles(tmp_path, [MNQ], "test")  # and the next recording goes on behind it
    files.write(ticks_at(int(found["exch_ns"][-1]) + 1))
    files.close()
    assert len(read(tmp_path / "2026-11-20.tape")) == len(found) + 1


def test_F_SYS_01_a_full_disk_is_said_in_one_sentence_and_costs_nothing_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "all.tape"
    files = TapeFiles(path, [MNQ], "test")
    files.write(ticks_at(at("2026-11-19T22:00")))
    files.flush()
    with files_up_to(path.stat().st_size):
        files.write(ticks_at(at("2026-11-19T22:01")))
        with pytest.raises(DataError, match=r"all\.tape cannot be written: .*; make room"):
            files.flush()
    files.close()
    assert len(read(path)) == 2


@pytest.mark.parametrize("blocks", [1, 3])
def test_F_SYS_01_a_block_that_the_disk_took_half_of_is_written_again_in_its_place(tmp_path: Path, blocks: int) -> None:
    path = tmp_path / "all.tape"
    ticks = lively(("MNQ",), opened=False)[:1500]
    files = TapeFiles(path, [MNQ], "test")
    files.write(ticks[:700])
    files.flush()
    files.write(ticks[700:])
    with files_up_to(path.stat().st_size + 20_000):
        for _ in range(blocks):  # of the writer, of the loop that ends, and of the end itself
            with pytest.raises(DataError, match=r"all\.tape cannot be written: .*; make room"):
                files.flush()
            assert len(read(path)) == 700
    files.close()
    assert read(path).tobytes() == ticks.tobytes()


def test_F_SYS_01_a_tape_that_cannot_be_begun_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    with files_up_to(10), pytest.raises(DataError, match=r"2026-11-19\.tape cannot be written: File too large"):
        TapeFiles(tmp_path, [MNQ], "test").write(ticks_at(at("2026-11-19T12:00")))
    assert not list(tmp_path.iterdir())
    files = TapeFiles(tmp_path, [MNQ], "test")
    files.write(ticks_at(at("2026-11-19T12:00")))
    files.close()
    assert len(read(tmp_path / "2026-11-19.tape")) == 1


def test_a_torn_end_is_cut_off_and_counted(tmp_path: Path) -> None:
    files = TapeFiles(tmp_path, [MNQ], "test")
    files.write(ticks_at(at("2026-11-19T12:00")))
    files.close()
    path = tmp_path / "2026-11-19.tape"
    whole = path.stat().st_size
    with open(path, "ab") as file:
        file.write(os.urandom(100))
    files = TapeFiles(tmp_path, [MNQ], "test")
    files.write(ticks_at(at("2026-11-19T12:01")))
    files.close()
    assert files.counts["dropped_bytes"] == 100
    assert len(read(path)) == 2
    assert path.stat().st_size > whole


# -------------------------------------------------------------------------------------------------------------- pens
def test_a_pen_writes_what_a_ring_would_hold(tmp_path: Path) -> None:
    memory = bytearray(ring_bytes(64))
    format_ring(memory, 64, MNQ.contract_id, 1)
    ring, rows = RingWriter(memory), []
    pen = TickPen(MNQ, rows)
    for writer in (ring, pen):
        writer.push(int(Kind.QUOTE), 10, 11, 400, 401, 0, 0, 77, 0, 2)
        writer.gap(20, 21)
        writer.push(int(Kind.TRADE), 30, 31, 402, 0, 5, 0, -1, -1, 0)


    out = np.zeros(8, TICK_DTYPE)
    reader = RingReader(memory, 0)
    count = reader.read(out)
    mine = take_rows(rows)
    names = [name for name in TICK_DTYPE.names if name != "epoch"]
    assert mine[names].tolist() == out[:count][names].tolist()
    assert np.diff(mine["epoch"]).tolist() == np.diff(out[:count]["epoch"]).tolist() == [1, 0]
    assert rows == []
    assert pen.written == count
    reader.close()
    ring.close()


# ------------------------------------------------------------------------------------------------------------- rings
