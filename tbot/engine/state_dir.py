"""The state directory of a run and the accounts it trades: one engine each, and word of where it is."""

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import orjson

from tbot.engine.settings import EngineSettings
from tbot.errors import Halted
from tbot.gateway.net import is_loopback
from tbot.storage.kill_locks import KillLocks
from tbot.storage.private_file import replace_private
from tbot.transport.process_identity import machine_boot, myself, process_space


def lock_state(state_dir: Path) -> BinaryIO:
    """Hold the directory for this engine as long as the returned file is open. Halted when another engine has it.

    The file is never deleted: a deleted lock file lets a second engine in (failure-model section 10).
    """
    file = _locked(state_dir / "engine.lock")
    if file is None:
        raise Halted(
            f"another engine runs on the state in {state_dir} (RC_SECOND_ENGINE); stop it, or set another TBOT_HOME"
        )
    return file


def _locked(path: Path) -> BinaryIO | None:
    """The open file as long as which we hold the lock; None when somebody else does. Not inherited by children."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = open(os.open(path, flags, 0o600), "r+b")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


class AccountLocks:
    """The right to send orders for accounts, held until `release` or the end of this process (I16, F-CFG-01).

    Each account has two lock files, neither ever deleted. One lies in TBOT_HOME/locks, named by the account's id. The
    other lies where this user's runs keep their shared memory: there an engine with another TBOT_HOME meets it, too. Of
    the simulators on loopback there may be many that all count from the same id, so for them the port is part of the
    second name; a proxy to a real gateway may have any port, and leads to the same accounts.
    """

    def __init__(self, own: Path | None, shared: Path, simulator: str) -> None:
        """`own`: the folder in TBOT_HOME (None: nothing is locked); `shared`: where shared memory lies.

        `simulator`: address of the gateway where it is one of ours, else "".
        """
        self._own = own
        self._everywhere = shared / f"tbot-locks-{os.geteuid()}"
        address = urlsplit(simulator)
        self._port = f"-{address.port}" if is_loopback(address.hostname or "") else ""
        self._held = ExitStack()
        self._accounts: set[int] = set()

    @classmethod
    def of(cls, settings: EngineSettings) -> "AccountLocks":
        """Those of a run."""
        gateway = settings.gateway
        simulator = gateway.rest_url if gateway is not None and gateway.simulated else ""
        return cls(settings.locks, settings.run_dir.parent, simulator)

    def take(self, accounts: Iterable[int]) -> None:
        """Lock these accounts as well. Halted when another engine has one of them; nothing new is held then."""
        if self._own is None:
            return
        with ExitStack() as taken:
            new = [account for account in accounts if account not in self._accounts]
            for account in new:
                for file in self._lock(account):
                    taken.enter_context(file)
            self._held.push(taken.pop_all())
            self._accounts.update(new)

    def release(self) -> None:
        self._held.close()
        self._accounts.clear()

    def paths(self, account: int) -> list[Path]:
        """The lock files of an account; their folders are made and must be ours alone (F-SEC-06)."""
        assert self._own is not None
        return [
            _own_folder(self._own) / f"account-{account}.lock",
            _own_folder(self._everywhere) / f"account-{account}{self._port}.lock",
        ]

    def _lock(self, account: int) -> Iterator[BinaryIO]:
        try:
            for path in self.paths(account):
                file = _locked(path)
                if file is None:
                    raise Halted(
                        f"another engine trades account {account} (RC_SECOND_ENGINE); stop that one first, or take the "
                        "account out of [[accounts]]"
                    )
                yield file
        except OSError as error:
            raise Halted(f"account {account} cannot be locked: {error}; look there, then start again") from None


def _own_folder(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise Halted(f"{path} is not a folder of yours that is closed to others: no account can be locked; remove it")
    return path


RUN_FILE = "run.json"  # in the state directory: the same word as in `current.json`, for one mode
TEMPORARY = "temporary.json"  # beside `current.json`: the same word of the last demo or replay


def leave_word(settings: EngineSettings) -> None:
    """Tell the commands where this run is: beside its state, and, as the newest, in TBOT_HOME.

    Demo and replay keep their state in temporary folders, so they have a word of their own: `current.json` may be
    another run's a minute later.
    """
    gateway, me = settings.gateway, myself()
    document = orjson.dumps(
        {
            "status": str(settings.state_dir / "status.json"),
            "journal": str(settings.journal_path),
            "run_dir": str(settings.run_dir),
            "pid": me.pid,
            "start": me.start,  # a pid may be used again
            "space": process_space(),  # and in a container it means another process
            "boot": machine_boot(),  # as on another machine that shares this folder
            "mode": settings.mode,
            "gateway": gateway.rest_url if gateway is not None else None,
            "embedded": gateway is not None and gateway.embedded,
            "accounts": [plan.account for plan in settings.accounts],
        }
    )
    places, pointer = [settings.state_dir / RUN_FILE], settings.pointer
    if pointer is not None:
        lasting = (pointer.parent / settings.mode).resolve() == settings.state_dir.resolve()
        places += [pointer] if lasting else [pointer, pointer.with_name(TEMPORARY)]
    for path in places:
        replace_private(path, document, sync=False)


def kill_locks(settings: EngineSettings) -> KillLocks:
    """The kill switch's lock files of a run; a temporary state directory has no copies in TBOT_HOME."""
    home = settings.pointer.parent.resolve() if settings.pointer is not None else None
    return KillLocks(settings.state_dir, home if home == settings.state_dir.parent else None, settings.mode)
