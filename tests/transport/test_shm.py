"""Segments and run directories: private, allocated, checked, and removed by exactly one."""

import errno
import gc
import multiprocessing
import os
import signal
import stat
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

import shm_children
from tbot.errors import LayoutError, TbotError
from tbot.transport.process_identity import Owner, _process_start_portable, process_start
from tbot.transport.shm import HEADER_BYTES, Segment, run_directory, sweep_stale
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

SPAWN = multiprocessing.get_context("spawn")
IS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root can give a file to another user")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory of this process."""
    return run_directory(tmp_path)


@pytest.fixture
def spawn() -> Iterator[Callable[..., tuple[BaseProcess, Connection]]]:
    """Starts children; all are gone when the test ends."""
    processes: list[BaseProcess] = []

    def start(target: Callable[..., None], *arguments: object) -> tuple[BaseProcess, Connection]:
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=target, args=(*arguments, theirs), daemon=True)
        process.start()
        theirs.close()
        processes.append(process)
        return process, ours

    yield start
    for process in processes:
        process.kill()
        process.join()


def hear(pipe: Connection) -> object:
    """What the child says next."""
    assert pipe.poll(60), "the child says nothing"
    return pipe.recv()


# ---------------------------------------------------------------- segments


def test_a_segment_is_shared_bytes_of_exactly_the_size_asked_for(run: Path) -> None:
    with Segment.create(run, "history-MNQ", 1001, run_id=2**64 - 1, epoch=3) as made:
        assert (len(made.buf), bytes(made.buf)) == (1001, bytes(1001))
        with Segment.attach(run, "history-MNQ", run_id=2**64 - 1) as seen:
            made.buf[:4], seen.buf[-1:] = b"left", b"R"
            assert (bytes(seen.buf[:4]), bytes(made.buf[-1:])) == (b"left", b"R")
            assert (seen.size, seen.run_id, seen.epoch, seen.name) == (1001, 2**64 - 1, 3, "history-MNQ")
            assert seen.owner == made.owner == Owner(os.getpid(), process_start(os.getpid()) or -1)
            assert seen.owner.alive


def test_arrays_are_views_at_an_offset_and_keep_the_segment_open(run: Path) -> None:
    segment = Segment.create(run, "s", 80)
    whole, part = segment.array(np.int64), segment.array("<u2", offset=16, count=3)
    whole[2] = 0x0003_0002_0001
    assert (whole.shape, part.tolist()) == ((10,), [1, 2, 3])
    with pytest.raises(ValueError, match="buffer"):
        segment.array(np.int64, offset=80, count=1)
    for _ in range(2):
        with pytest.raises(BufferError, match="segment s is in use"):
            segment.close()
        assert whole[2] == 0x0003_0002_0001  # still mapped
    del whole, part
    gc.collect()
    segment.close()
    segment.close()


def test_a_ring_in_a_segment_must_be_closed_before_it(run: Path) -> None:
    segment = Segment.create(run, "ring", ring_bytes(16))
    format_ring(segment.buf, 16, 1, 2)
    writer, reader = RingWriter(segment.buf), RingReader(segment.buf, 0)
    for ring in (writer, reader):
        with pytest.raises(BufferError):
            segment.close()
        ring.close()
    segment.close()


def test_a_read_only_attachment_cannot_write(run: Path) -> None:
    with Segment.create(run, "s", 16), Segment.attach(run, "s", writable=False) as seen:
        assert (seen.writable, seen.buf.readonly) == (False, True)
        with pytest.raises(ValueError, match="read-only"):
            seen.array(np.int64)[0] = 1
        with pytest.raises(TypeError):
            seen.buf[0] = 1


def test_the_file_is_private_allocated_and_not_inherited(run: Path) -> None:
    old = os.umask(0)
    try:
        made = Segment.create(run, "s", 1 << 20)
    finally:
        os.umask(old)
    info = made.path.stat()
    assert stat.S_IMODE(info.st_mode) == 0o600
    assert info.st_size == HEADER_BYTES + (1 << 20)
    assert info.st_blocks * 512 >= info.st_size  # no hole
    made.close()


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "x" * 65, "a b", "ö"])
def test_a_name_that_is_no_plain_file_name_is_refused(run: Path, name: str) -> None:
    for act in (lambda: Segment.create(run, name, 1), lambda: Segment.attach(run, name)):
        with pytest.raises(ValueError, match="no name of a segment"):
            act()


@pytest.mark.parametrize("size", [0, -1])
def test_a_segment_has_at_least_one_byte(run: Path, size: int) -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        Segment.create(run, "s", size)
    assert list(run.iterdir()) == []


def test_a_name_taken_or_missing_is_a_layout_error(run: Path) -> None:
    Segment.create(run, "s", 8).close()
    with pytest.raises(LayoutError, match="cannot make"):
        Segment.create(run, "s", 8)
    with pytest.raises(LayoutError, match="cannot attach"):
        Segment.attach(run, "other")
    with pytest.raises(LayoutError, match="belongs to run 0, not to 7"):
        Segment.attach(run, "s", run_id=7)


def repack(data: bytearray, **change: int) -> None:
    """Change header fields and make the checksum right again."""
    names = ("magic", "version", "header", "size", "run", "start", "pid", "epoch")
    fields = dict(zip(names, struct.unpack_from("<8sIIQQQII", data), strict=True)) | change
    struct.pack_into("<8sIIQQQII", data, 0, *fields.values())
    struct.pack_into("<I", data, 48, zlib.crc32(data[:48]))


DAMAGE: dict[str, Callable[[bytearray], None]] = {
    "is no segment of ours": lambda d: d.__setitem__(0, 0),
    "layout 2": lambda d: repack(d, version=2),
    "layout 1": lambda d: repack(d, header=128),
    "damaged": lambda d: d.__setitem__(20, 1),
    "instead of 4105": lambda d: repack(d, size=9),
    "it was cut": lambda d: d.append(0),
    "instead of 4104": lambda d: d.__delitem__(slice(-1, None)),
    "no segment of ours": lambda d: d.__delitem__(slice(30, None)),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_F_DAT_05_F_SYS_07_a_damaged_or_cut_file_is_refused_on_attach(run: Path, message: str) -> None:
    Segment.create(run, "s", 8).close()
    data = bytearray((run / "s").read_bytes())
    DAMAGE[message](data)
    (run / "s").write_bytes(data)
    with pytest.raises(LayoutError, match=message):
        Segment.attach(run, "s")


def test_F_SYS_07_without_room_nothing_is_left_and_the_reason_is_told(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(TbotError, match=r"no room for 64 bytes of shared memory in .*: No space left"):
        Segment.create(run, "s", 64)
    assert list(run.iterdir()) == []


def test_F_SYS_07_more_than_the_file_system_holds_is_refused_not_a_bus_error_later(run: Path) -> None:
    with pytest.raises(TbotError, match="no room"):
        Segment.create(run, "s", 1 << 58)
    assert list(run.iterdir()) == []


def test_F_SYS_07_allocation_without_fallocate_writes_every_byte(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    with Segment.create(run, "s", 3_000_001) as made:
        assert made.path.stat().st_blocks * 512 >= HEADER_BYTES + 3_000_001
        assert not np.any(made.array(np.uint8))


def test_F_SYS_07_a_segment_cut_under_its_user_kills_that_process_only(
    run: Path, spawn: Callable[..., tuple[BaseProcess, Connection]]
) -> None:
    with Segment.create(run, "s", 1 << 16) as made:
        process, pipe = spawn(shm_children.truncated, run, "s")
        assert hear(pipe) == "attached"
        os.truncate(made.path, HEADER_BYTES)
        pipe.send("touch it")
        process.join(60)
        assert process.exitcode == -signal.SIGBUS
        with pytest.raises(LayoutError, match="it was cut"):
            Segment.attach(run, "s")


def test_F_PRC_07_links_and_pipes_in_place_of_a_segment_are_refused(run: Path) -> None:
    Segment.create(run, "real", 8).close()
    (run / "link").symlink_to(run / "real")
    os.mkfifo(run / "pipe", 0o600)
    (run / "folder").mkdir(0o700)
    for name in ("link", "pipe", "folder"):
        for writable in (True, False):
            with pytest.raises(LayoutError):
                Segment.attach(run, name, writable)
    for name in ("link", "pipe", "folder", "real"):
        with pytest.raises(LayoutError):
            Segment.create(run, name, 8)
    (run / "dangling").symlink_to(run / "target")
    with pytest.raises(LayoutError):
        Segment.create(run, "dangling", 8)
    assert not (run / "target").exists()


def test_F_PRC_07_a_directory_or_file_open_to_others_is_refused(run: Path, tmp_path: Path) -> None:
    Segment.create(run, "s", 8).close()
    (run / "s").chmod(0o640)
    with pytest.raises(LayoutError, match="open to other users"):
        Segment.attach(run, "s")
    (run / "s").chmod(0o600)
    run.chmod(0o750)
    with pytest.raises(LayoutError, match="open to other users"):
        Segment.attach(run, "s")
    with pytest.raises(LayoutError, match="open to other users"):
        Segment.create(run, "t", 8)
    run.chmod(0o700)
    (tmp_path / "alias").symlink_to(run)
    with pytest.raises(LayoutError, match="no directory of a run"):
        Segment.attach(tmp_path / "alias", "s")
    Segment.attach(run, "s").close()


@pytest.mark.privileged
@as_root
def test_F_PRC_07_what_another_user_owns_is_refused(run: Path) -> None:
    Segment.create(run, "s", 8).close()
    os.chown(run / "s", 65534, -1)
    with pytest.raises(LayoutError, match="another user"):
        Segment.attach(run, "s")
    os.chown(run / "s", 0, -1)
    os.chown(run, 65534, -1)
    for act in (lambda: Segment.attach(run, "s"), lambda: Segment.create(run, "t", 8)):
        with pytest.raises(LayoutError, match="another user"):
            act()


@pytest.mark.privileged
@as_root
def test_F_PRC_07_another_user_gets_nowhere(spawn: Callable[..., tuple[BaseProcess, Connection]]) -> None:
    run = run_directory()  # not below the test's own directory, which others cannot even enter
    try:
        with Segment.create(run, "s", 8):
            _, pipe = spawn(shm_children.as_other_user, run, "s")
            assert hear(pipe) == ["LayoutError", "LayoutError", "TbotError"]
    finally:
        (run / "s").unlink()
        run.rmdir()


# ---------------------------------------------------------------- who removes what


def test_I27_a_process_that_attached_and_left_takes_nothing_with_it(
    run: Path, spawn: Callable[..., tuple[BaseProcess, Connection]]
) -> None:
    with Segment.create(run, "s", 8) as made:
        process, pipe = spawn(shm_children.attach_and_leave, run, "s")
        assert hear(pipe) == "written"
        process.join(60)
        assert (process.exitcode, made.path.exists(), made.buf[0]) == (0, True, 42)


def test_I27_only_the_creator_removes_and_never_a_file_that_took_the_name(
    run: Path, spawn: Callable[..., tuple[BaseProcess, Connection]]
) -> None:
    made = Segment.create(run, "s", 8)
    _, pipe = spawn(shm_children.unlink_foreign, run, "s")
    assert "is removed by its creator" in str(hear(pipe))
    made.path.rename(run / "moved")
    made.path.write_bytes(b"a stranger")
    made.unlink()
    assert made.path.read_bytes() == b"a stranger"
    (run / "moved").rename(made.path)
    made.unlink()
    made.unlink()
    assert list(run.iterdir()) == []
    made.buf[0] = 1  # who has it mapped keeps it
    made.close()


def test_the_run_directory_is_private_whatever_the_umask(tmp_path: Path) -> None:
    for umask in (0, 0o777):
        old = os.umask(umask)
        try:
            path = run_directory(tmp_path)
        finally:
            os.umask(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert path.parent == tmp_path
        assert path.name.startswith(f"tbot-{os.geteuid()}-{os.getpid()}-")


def test_by_default_it_lies_on_shared_memory_with_room_for_socket_names() -> None:
    path = run_directory()
    try:
        assert path.parent == Path("/dev/shm") or not os.access("/dev/shm", os.W_OK)
        assert len(os.fsencode(path / "executor-00.sock")) < 104  # the limit of socket paths is 104 to 108 bytes
    finally:
        path.rmdir()


def test_a_base_that_is_missing_or_lets_others_rename_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TbotError, match="No such file"):
        run_directory(tmp_path / "none")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(TbotError, match="no sticky bit"):
        run_directory(shared)
    shared.chmod(0o1777)
    assert run_directory(shared).is_dir()
    assert sweep_stale(tmp_path / "none") == []


def test_F_PRC_07_the_run_of_a_killed_launcher_is_swept_that_of_a_living_one_is_not(
    tmp_path: Path, spawn: Callable[..., tuple[BaseProcess, Connection]]
) -> None:
    process, pipe = spawn(shm_children.hold_run, tmp_path)
    theirs, mine = hear(pipe), run_directory(tmp_path)
    assert isinstance(theirs, Path)
    assert sweep_stale(tmp_path) == []
    with Segment.attach(theirs, "ring-MNQ", run_id=5) as seen:
        assert (bytes(seen.buf[:5]), seen.owner.pid, seen.owner.alive) == (b"alive", process.pid, True)
        process.kill()
        assert process.pid is not None
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, but still a zombie
        assert not seen.owner.alive
        assert sweep_stale(tmp_path) == [theirs]
        assert bytes(seen.buf[:5]) == b"alive"  # a mapping outlives its file
    assert (theirs.exists(), mine.exists()) == (False, True)
    assert sweep_stale(tmp_path) == []


def test_F_PRC_07_a_number_used_again_by_another_process_does_not_save_the_dead(tmp_path: Path) -> None:
    mine = run_directory(tmp_path)
    prefix, uid, pid, start, space, tail = mine.name.split("-")
    reused = tmp_path / "-".join((prefix, uid, pid, f"{int(start, 16) + 1:x}", space, tail))
    reused.mkdir(0o700)
    assert sweep_stale(tmp_path) == [reused]
    assert mine.exists()


def dead_name(tmp_path: Path, uid: int | None = None, space: str | None = None) -> Path:
    """A directory named like the run of a process that cannot exist."""
    example = run_directory(tmp_path).name.split("-")
    name = f"tbot-{os.geteuid() if uid is None else uid}-4194305-1-{space or example[4]}-0000"
    (tmp_path / name).mkdir(mode=0o700)
    return tmp_path / name


def test_F_PRC_07_what_is_not_certainly_ours_is_left_alone(tmp_path: Path) -> None:
    other_user, container = dead_name(tmp_path, uid=os.geteuid() + 1), dead_name(tmp_path, space="1")
    open_to_all = dead_name(tmp_path, space=None)
    open_to_all.chmod(0o755)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    link = Path(str(open_to_all)[:-4] + "0001")
    link.symlink_to(precious)
    plain = Path(str(open_to_all)[:-4] + "0002")
    plain.touch()
    (tmp_path / "tbot-backup").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert sweep_stale(tmp_path) == []
    assert sorted(tmp_path.rglob("*")) == before
    open_to_all.chmod(0o700)
    assert sweep_stale(tmp_path) == [open_to_all]
    assert (other_user.exists(), container.exists(), (precious / "file").exists()) == (True, True, True)


@pytest.mark.privileged
@as_root
def test_F_PRC_07_another_users_directory_under_our_name_is_left_alone(tmp_path: Path) -> None:
    planted = dead_name(tmp_path)
    os.chown(planted, 65534, -1)
    assert sweep_stale(tmp_path) == []
    assert planted.exists()


def test_the_start_of_a_process_tells_it_from_others() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        start = process_start(child.pid)
        assert start is not None
        assert start == process_start(child.pid)
        assert Owner(child.pid, start).alive
        assert not Owner(child.pid, start + 1).alive
        assert start >= (process_start(os.getpid()) or 0)
    finally:
        child.communicate(b"\n", timeout=60)
    assert process_start(child.pid) is None
    assert process_start(4194305) is None


def test_elsewhere_than_on_linux_psutil_tells_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self: "/proc/" not in str(self) and exists(self))
    assert process_start(4194305) is None
    start = _process_start_portable(os.getpid())
    assert start is not None
    assert start == _process_start_portable(os.getpid())
