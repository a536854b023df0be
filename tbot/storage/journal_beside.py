"""The journal with its disk work in a thread of its own: a disk that hangs holds up no protection (F-SYS-05, R1).

A file system that writes its journal holds every sync of every file up until it is done, for half a minute at times.
The executor's loop goes on meanwhile: what waits is committed when the disk is back; an entry, which must be on disk
before it leaves, is refused after a second; a flatten, a lock or a person's word is noted beside and goes ahead.

Who waits, waits for his rows and not for their head, which may lag (a crash between the two leaves a sound journal):
one sync on the way of an order instead of two. An error of the head may so reach the next caller only. While there is
trouble, everybody waits for both: a head that cannot be written must not fall behind without end.
"""

import threading
from collections.abc import Callable
from typing import Any, Final

from tbot.errors import JournalError
from tbot.storage.journal import Journal

# So long an entry or a lock is waited for: less than C_SIGNAL_TTL, as an entry is too old then anyway, and less than
# the two seconds within which a flatten must begin (I12).
HANG_NS: Final = 1_000_000_000
CLOSE_S: Final = 5.0  # for the last rows: half of C_STOP_GRACE
HANGS: Final = "the disk does not answer"


class JournalBeside(Journal):
    """As Journal. `record` waits at most HANG_NS for the disk, `flush` not at all: its errors come with the next call.

    While the disk hangs, `trouble` says so. Rows are kept in memory then, as on a full disk.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._talk = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ident = 0  # of the thread
        self._wanted = self._leaving = False
        self._begun = self._ended = 0  # attempts to write
        self._down = 0  # the row up to which nobody needs to wait for the end of the attempt under way
        self._since_ns = 0  # of the attempt under way (boot clock); 0: none is
        self._problem: JournalError | None = None  # of the newest attempt
        self._untold: JournalError | None = None  # the newest of those that no flush has told yet
        self._refused = False  # somebody was told that nothing is written any more
        super().__init__(*args, **options)
        self._thread = threading.Thread(target=self._run, daemon=True, name="journal")
        self._thread.start()

    def flush(self, min_rows: int = 1, max_age_ns: int = 0) -> int:
        """Have what waits committed soon; returns the number of rows that wait. Raises JournalError as `record`."""
        count = len(self._waiting)
        if self._broken:
            self._refuse()
        with self._talk:
            problem, self._untold = self._untold, None
            if self._hangs:
                self._say_hangs()
            elif self._waiting:
                self._want()
            elif self.trouble == HANGS and not self._since_ns:  # it was said while the thread was just through
                self.trouble = ""
        if problem is not None:
            raise problem
        return count

    def close(self) -> None:
        """As Journal; a disk that hangs for CLOSE_S gets the last rows no more, and that is a JournalError.

        So is an error that ended the trust in this file and that nobody has been told yet.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._talk:
            self._leaving = True
            self._talk.notify_all()
        thread.join(CLOSE_S)
        if thread.is_alive():
            self._closed = True
            raise JournalError(f"the journal {self.path.name} cannot be closed in order: {HANGS}")
        super().close()
        if self._broken and self._untold is not None and not self._refused:
            raise self._untold

    @property
    def _syncs(self) -> bool:
        """The thread waits for the disk anyway; nobody else does while it hangs.

        Why the trouble counts, too: who has waited for an attempt began to wait before it, so has it hung for less.
        """
        hangs = self.trouble == HANGS or self._hangs
        return not hangs or self._ident == threading.get_ident()

    @property
    def _hangs(self) -> bool:
        return bool(self._since_ns) and self._clock() - self._since_ns >= HANG_NS

    def _say_hangs(self) -> None:
        if not self._broken:  # that has a reason of its own, and says it
            self.trouble = HANGS

    def _want(self) -> None:
        self._wanted = True
        self._talk.notify_all()

    def _commit(self) -> None:
        """Wait for the thread to have all on disk that is there now; where there is no thread, do it."""
        if self._broken:
            self._refuse()
        if self._thread is None:
            super()._commit()
            return
        target, deadline_ns = self._newest[0], self._clock() + HANG_NS
        with self._talk:
            first = self._begun + 1  # an attempt that begins after this holds all of it
            self._want()
            while self._down < target and self._ended < first:
                left_ns = 0 if self._hangs else deadline_ns - self._clock()
                if left_ns <= 0:
                    self._say_hangs()
                    raise JournalError(f"the journal {self.path.name} cannot be written: {HANGS}")
                self._talk.wait(left_ns / 1e9)
            problem = self._problem if self._ended >= first else None
            if problem is not None:
                self._untold = None
        if problem is not None:
            raise problem
        if self._broken:  # by the head of these very rows: nothing may be sent that can be kept back (F-SYS-02)
            self._refuse()

    def _refuse(self) -> None:
        """Say why nothing is written any more."""
        self._refused = True
        super()._commit()

    def _rows_are_down(self) -> None:
        if not self.trouble:
            with self._talk:
                self._down = self._committed[0]
                self._talk.notify_all()

    def _run(self) -> None:
        self._ident = threading.get_ident()
        while True:
            with self._talk:
                self._talk.wait_for(lambda: self._wanted or self._leaving)
                if not self._wanted:
                    return
                self._wanted = False
                self._begun += 1
                self._since_ns = self._clock()
            # Without rows nothing is tried, and what went wrong with those before is not over: their head is behind.
            problem = self._tried(super()._commit) if self._waiting else self._problem
            with self._talk:
                self._ended, self._problem = self._begun, problem
                self._untold = problem or self._untold
                fold = not problem and not self._wanted and self._checkpoint_due
                self._since_ns = self._clock() if fold else 0
                self._talk.notify_all()
            if fold:
                problem = self._tried(self._checkpoint)
                with self._talk:
                    self._since_ns, self._untold = 0, problem or self._untold

    def _tried(self, work: Callable[[], None]) -> JournalError | None:
        try:
            work()
        except JournalError as error:
            return error
        except Exception as error:  # a bug of ours: nobody may go on as if the rows were there (R13)
            self._break(f"{type(error).__name__}: {error}")
            return JournalError(f"the journal {self.path.name} cannot be written: {self.trouble}")
        return None
