"""The launcher's part in the kill switch, and its last resort: the emergency exit of R14 as a process of its own.

Lock files that appear and the launcher's own signal are put to the executor; when it does not acknowledge within a
second (dead, frozen, still starting), `tbot.panic` closes everything over REST. The same happens once when an executor
that may hold a position cannot be restarted (F-PRC-04). The login goes to that program by pipe.
"""

import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path

from tbot.domain.process_messages import OperatorAck, OperatorMessage
from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.engine.settings import EngineSettings
from tbot.engine.state_dir import kill_locks
from tbot.storage.kill_locks import ENGINE, Mark, mark, read

ACK_NS = NS_PER_S  # ruling 11
PANIC_S = 60.0
LINE_BYTES = 64 * 1024


class LastResort:
    """Call `look` often. `tell` takes a line for a person; `ask` hands a message to the executor (False: not there)."""

    def __init__(
        self,
        settings: EngineSettings,
        login: tuple[str, str] | None,
        tell: Callable[[str], None],
        ask: Callable[[OperatorMessage], bool],
    ) -> None:
        self._settings = settings
        self._login = login
        self._tell = tell
        self._ask = ask
        self._locks = kill_locks(settings)
        self._pinned = tuple(plan.account for plan in settings.accounts)
        self._marks: dict[Path, Mark | None] = {}
        self._unsent: list[OperatorMessage] = []
        self._waiting: dict[str, tuple[int | None, int]] = {}  # kills by id: account (None: all), end of patience
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self.state = ""  # of the emergency exit: "", running, flat, not flat
        self.began_boot_ns = 0  # of the exit that `state` tells of
        self.closes: tuple[int, ...] = ()  # its accounts; (): all of the login

    def begin(self) -> None:
        """Lock files that are there before the executor starts are its own business."""
        self._marks = {path: mark(path) for path in self._paths(self._pinned)}

    def _paths(self, accounts: Iterable[int]) -> dict[Path, int | None]:
        """Lock files to look at, each with its account (None: all)."""
        return {path: account for account in (None, *accounts) for path in self._locks.paths(account)}

    @property
    def running(self) -> bool:
        """The emergency exit is at work."""
        return self._process is not None

    # ------------------------------------------------------------------------------------------------ kill switch
    def press(self, by: str, day: date, accounts: tuple[int, ...]) -> None:
        """Lock every account of this run, then kill."""
        for problem in self._locks.put(None, day, by):
            self._tell(f"the lock file of the kill switch could not be written: {problem}")
        for path in self._paths(accounts):
            self._marks[path] = mark(path)
        self._kill(by)

    def look(self, accounts: tuple[int, ...]) -> None:
        """New lock files, an acknowledgement that does not come, news of the emergency exit."""
        pressed: dict[int | None, str] = {}
        for path, account in self._paths(accounts).items():
            seen = mark(path)
            if seen == self._marks.get(path):
                continue
            self._marks[path] = seen
            lock = read(path)
            if lock is not None and lock.by != ENGINE:
                pressed[account] = f"lock file{f' of {lock.by}' if lock.by else ''}"
        for account, by in pressed.items():
            self._kill(by, account)
        while self._unsent and self._ask(self._unsent[0]):
            del self._unsent[0]
        self._lose_patience(accounts)
        self._reap()

    def _lose_patience(self, accounts: tuple[int, ...]) -> None:
        """Close without the executor what it did not acknowledge, and no other account; one exit after another."""
        now_ns = boot_ns()
        late = {request: account for request, (account, end_ns) in self._waiting.items() if now_ns > end_ns}
        if not late or self.running:
            return
        for request in late:
            del self._waiting[request]
        self._unsent = [message for message in self._unsent if message.request_id not in late]
        named = {account for account in late.values() if account is not None}
        only = accounts if None in late.values() else tuple(sorted(named))
        self.panic("the executor did not acknowledge the kill switch", only)

    def _kill(self, by: str, account: int | None = None) -> None:
        whose = "" if account is None else f", account {account}"
        self._tell(f"kill switch pressed ({by}{whose})")
        request = f"kill-{secrets.token_hex(4)}"
        self._waiting[request] = account, boot_ns() + ACK_NS
        self._unsent.append(OperatorMessage(request, "kill", account))

    def on_ack(self, ack: OperatorAck) -> None:
        """The executor's answer; one that has no Desk yet has not done it."""
        if ack.done:
            self._waiting.pop(ack.request_id, None)

    # --------------------------------------------------------------------------------------------- emergency exit
    def panic(self, why: str, accounts: tuple[int, ...]) -> bool:
        """Start the emergency exit unless it is at work; False where no broker holds anything of ours."""
        gateway = self._settings.gateway
        if self._settings.mode not in ("sim", "live") or gateway is None or self._login is None:
            return False
        if self._process is not None:
            return True
        self._tell(f"{why}: the emergency exit closes everything over REST")
        order = {
            "gateway": gateway.rest_url,
            "user_name": self._login[0],
            "api_key": self._login[1],
            "accounts": accounts or self._pinned,
            "for_s": PANIC_S,
        }
        self.began_boot_ns, self.closes = boot_ns(), accounts or self._pinned
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tbot.panic"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C must not end it
            )
        except OSError as error:
            self.state = "not flat"
            self._tell(f"the emergency exit could not be started ({error.strerror}); run tbot panic by hand NOW")
            return False
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # else its exit code tells
            pipe.write(json.dumps(order).encode())
        os.set_blocking(process.stdout.fileno(), False)
        self._process, self.state = process, "running"
        return True

    def _reap(self) -> None:
        process = self._process
        if process is None:
            return
        assert process.stdout is not None
        code = process.poll()
        self._rest += process.stdout.read(LINE_BYTES) or b""
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            self._tell(f"emergency exit: {line.decode(errors='replace')}")
        if code is None:
            return
        process.stdout.close()
        self._process = None
        self.state = "flat" if code == 0 else "not flat"
        if code == 0:
            self._tell("emergency exit: every account is proven flat")
        else:
            self._tell("emergency exit: NOT PROVEN FLAT; look at the account on the platform now, and run tbot panic")
