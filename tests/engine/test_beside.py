"""What is done beside the loop that asks for it."""

import threading

import pytest

from tbot.engine.beside import Newest

PATIENCE_S = 60.0


def test_F_SYS_05_of_what_comes_while_it_works_the_newest_counts() -> None:
    done: list[int] = []
    reached, free = threading.Event(), threading.Event()

    def work(item: int) -> None:
        reached.set()
        assert free.wait(PATIENCE_S)
        done.append(item)

    newest = Newest(work, "test")
    newest.put(1)
    assert reached.wait(PATIENCE_S)
    for item in (2, 3):
        newest.put(item)
    assert not newest.settle(0.01)
    free.set()
    assert newest.settle(PATIENCE_S)
    assert done == [1, 3]


def test_a_machine_without_room_for_a_thread_ends_nobody_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done: list[int] = []
    newest = Newest(done.append, "test")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", full)
        newest.put(1)
        assert not newest.settle(0.01)
    newest.put(2)
    assert newest.settle(PATIENCE_S)
    assert done == [2]
