"""Checks of this computer: each reads one thing and judges it, in two functions where a test cannot set it up."""

import contextlib
import importlib
import importlib.util
import os
import pkgutil
import platform
import shutil
import socket
import stat
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import tbot_ext
from tbot.doctor.findings import Check, Finding, fail, ok, warn
from tbot.doctor.versions import versions
from tbot.domain.trading_hours import SessionTable, loosened, table_hash
from tbot.errors import TbotError
from tbot.storage.sessions import effective_sessions
from tbot.transport.shm import Segment, run_directory

LEAST_PYTHON = (3, 11)
MB = 1 << 20
DISK_FAIL, DISK_WARN = 200 * MB, 1024 * MB
EARLIEST, LATEST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
TABLE_WARN_DAYS = 45
# Packages of the extras: what one gets, and what it is imported as.
EXTRAS = {
    "data": "pyarrow", "report": "matplotlib", "web": "nicegui", "sweep": "optuna", "notify": "apprise",
    "metrics": "prometheus_client", "keyring": "keyring", "news": "icalendar",
    "fast": "picows",
}  # fmt: skip
VIRTUAL = ("kvm", "qemu", "vmware", "virtualbox", "hyper-v", "virtual machine", "xen", "bochs", "parallels")
TUNNELS = ("tun", "tap", "wg", "ppp", "utun", "tailscale", "zt")


def checks(home: Path, shared_bytes: int, own_rows: Path | None = None) -> list[Check]:
    """All checks of the machine, for a state folder, what a run needs of shared memory, and own session rows."""
    return [
        Check("python", python),
        Check("compiled core", compiled_core),
        Check("futex", futex),
        Check("shared memory", lambda: shared_memory(shared_bytes)),
        Check("disk", lambda: disk(home)),
        Check("state folder", lambda: state_folder(home)),
        Check("time zones", lambda: time_zones(datetime.now(UTC))),
        Check("session table", lambda: sessions(own_rows, datetime.now(UTC))),
        Check("clock", clock),
        Check("versions", versions),
        Check("extras", extras),
        Check("device", device),
    ]


def python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Finding:
    """Whether the interpreter is new enough."""
    text = f"{platform.python_implementation()} {'.'.join(map(str, version))}"
    if version < LEAST_PYTHON:
        return fail("python", f"{text} is too old", "install Python 3.11 or newer and make a new environment")
    return ok("python", text)


def compiled_core() -> Finding:
    """Every compiled module loads, and the record layouts of Python and C are the same."""
    rebuild = "build it again: pip install -e . (or reinstall the package)"
    names = sorted(module.name for module in pkgutil.iter_modules(tbot_ext.__path__))
    for name in names:
        try:
            importlib.import_module(f"tbot_ext.{name}")
        except ImportError as error:
            return fail("compiled core", f"tbot_ext.{name} does not load: {error}", rebuild)
    records = importlib.import_module("tbot_ext.records")
    try:
        for struct, dtype in (("Tick", records.TICK_DTYPE), ("Bar", records.BAR_DTYPE), ("Event", records.EVENT_DTYPE)):
            records.check_layout(struct, dtype)
    except (RuntimeError, KeyError) as error:
        return fail("compiled core", str(error), rebuild)
    text = f"{len(names)} modules, layout {records.LAYOUT_VERSION}"
    if records.CHECKED_BUILD:
        return warn("compiled core", f"{text}, checked build", "it is slow: build without TBOT_CHECKED for trading")
    return ok("compiled core", text)


def futex() -> Finding:
    """Whether workers can sleep on the ring's word."""
    from tbot_ext.ring import USES_FUTEX

    if USES_FUTEX:
        return ok("futex", "workers sleep until the ring calls")
    return warn("futex", f"not on {platform.system()}: workers look again and again", 'set [engine] wait = "poll"')


def shared_memory(need: int) -> Finding:
    """A run directory and a segment can be made, and there is room for the rings."""
    try:
        directory = run_directory(None)
    except (TbotError, OSError) as error:
        return fail("shared memory", f"no private folder can be made: {error}", "look at the mode of /dev/shm")
    try:
        free = shutil.disk_usage(directory).free
        with Segment.create(directory, "doctor", 1 << 16) as segment:
            segment.buf[:4] = b"look"
            segment.unlink()
    except (TbotError, OSError) as error:
        return fail("shared memory", f"no segment can be made: {error}", "free some of the shared-memory file system")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return judge_room("shared memory", directory.parent, free, need, 2 * need)


def disk(home: Path) -> Finding:
    """Room for the journal, tapes and logs."""
    place = home
    while not place.exists():
        place = place.parent
    return judge_room("disk", place, shutil.disk_usage(place).free, DISK_FAIL, DISK_WARN)


def judge_room(name: str, place: Path, free: int, least: int, enough: int) -> Finding:
    """Free bytes against what is needed and what is comfortable."""
    text = f"{free // MB} MB free in {place}"
    if free < least:
        return fail(name, f"{text}, {least // MB + 1} MB are needed", "free some room there")
    return warn(name, text, "that is little: free some room there") if free < enough else ok(name, text)


def state_folder(home: Path, uid: int | None = None) -> Finding:
    """TBOT_HOME is ours, closed to others, and can be written."""
    if not home.exists():
        return ok("state folder", f"{home} will be made at the first run")
    found = os.lstat(home)
    if stat.S_ISLNK(found.st_mode) or not stat.S_ISDIR(found.st_mode):
        return fail("state folder", f"{home} is not a folder", "set TBOT_HOME to a folder of yours")
    if found.st_uid != (os.geteuid() if uid is None else uid):
        return fail("state folder", f"{home} belongs to another user", "set TBOT_HOME to a folder of yours")
    try:
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        return fail("state folder", f"{home} cannot be written: {error.strerror}", "look at its mode and its disk")
    if found.st_mode & 0o022:
        return fail("state folder", f"others may write to {home}", f"chmod 700 {home}")
    if found.st_mode & 0o077:
        return warn("state folder", f"others may read {home}", f"chmod 700 {home}")
    return ok("state folder", str(home))


def time_zones(now: datetime) -> Finding:
    """Zone data is there and knows both summer times; and whether the two are out of step this week."""
    try:
        chicago, helsinki = ZoneInfo("America/Chicago"), ZoneInfo("Europe/Helsinki")
    except ZoneInfoNotFoundError as error:
        return fail("time zones", f"no zone data: {error}", "pip install tzdata")
    for zone, month, hours in ((chicago, 1, -6), (chicago, 7, -5), (helsinki, 1, 2), (helsinki, 7, 3)):
        if datetime(now.year, month, 15, tzinfo=zone).utcoffset() != timedelta(hours=hours):
            return fail("time zones", f"the data of {zone.key} is not right", "pip install --upgrade tzdata")
    here, there = now.astimezone(helsinki).utcoffset(), now.astimezone(chicago).utcoffset()
    assert here is not None
    assert there is not None
    ahead = int((here - there).total_seconds() // 3600)
    text = f"Helsinki is {ahead} hours ahead of Chicago"
    if ahead != 8:
        return warn("time zones", f"{text} this week, not 8", "nothing: the windows follow; do not be surprised")
    return ok("time zones", text)


def sessions(own_rows: Path | None, now: datetime) -> Finding:
    """The packaged session table with a person's own rows."""
    try:
        return session_table(effective_sessions(own_rows), now, own_rows)
    except TbotError as error:
        return fail("session table", str(error), "correct that row: no run starts with it")


def session_table(table: SessionTable, now: datetime, own_rows: Path | None = None) -> Finding:
    """The holidays of this year are known, and soon those of the next; rows that a person made looser are named."""
    years = ", ".join(map(str, sorted(table.years)))
    years += f" (table {table_hash(table)}{f', with {own_rows}' if own_rows else ''})"
    update = "update T-BOT, or add the year's holidays to sessions.toml in TBOT_HOME"
    if now.year not in table.years:
        return fail("session table", f"covers {years}, not {now.year}: live and paper refuse to trade", update)
    left = (datetime(now.year + 1, 1, 1, tzinfo=UTC) - now).days
    if left < TABLE_WARN_DAYS and now.year + 1 not in table.years:
        return warn("session table", f"covers {years}; it ends in {left} days", update)
    looser = loosened(table)
    if looser:
        text = f"covers {years}; looser than packaged: {'; '.join(looser)}"
        return warn("session table", text, "make sure that the firm takes orders at that time")
    return ok("session table", f"covers {years}")


def clock() -> Finding:
    """The wall clock shows a believable date and runs as fast as the boot clock."""
    return judge_clock(datetime.now(UTC), _drift())


def _drift(seconds: float = 0.2) -> float:
    """Wall clock minus steady clock over a moment, s: not 0 when somebody is setting the clock."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(seconds)
    return (time.time() - wall) - (time.monotonic() - steady)


def judge_clock(now: datetime, drift_s: float) -> Finding:
    """The clock's date, and how far it strayed from the steady clock in a moment."""
    if not EARLIEST <= now <= LATEST:
        return fail("clock", f"it shows {now:%Y-%m-%d}", "set the clock; turn time synchronisation on")
    if abs(drift_s) > 0.05:
        return warn("clock", f"it was moved by {drift_s * 1000:+.0f} ms just now", "look at time synchronisation")
    return ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC (doctor --online compares it with the gateway's)")


def extras() -> Finding:
    """Which optional parts are installed. None is needed to trade."""
    have = [name for name, package in EXTRAS.items() if importlib.util.find_spec(package) is not None]
    lack = [name for name in EXTRAS if name not in have]
    text = f"installed: {', '.join(have) or 'none'}"
    return ok("extras", f"{text}; to be had by pip install 'tbot[{','.join(lack)}]'" if lack else text)


def device() -> Finding:
    """Orders must come from the trader's own device: signs of a virtual machine or a tunnel."""
    signs = [_first_line(Path("/sys/class/dmi/id", name)) for name in ("product_name", "sys_vendor")]
    with contextlib.suppress(OSError):
        names = [name for _, name in socket.if_nameindex()]
        return judge_device(signs, [name for name in names if _is_up(name)], _cpu_flags())
    return judge_device(signs, [], _cpu_flags())


def _is_up(interface: str) -> bool:
    return _first_line(Path("/sys/class/net", interface, "operstate")) != "down"


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _cpu_flags(path: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """What the processor says of itself; `hypervisor` stands there in every virtual machine of x86."""
    with contextlib.suppress(OSError), path.open(encoding="utf-8", errors="replace") as lines:
        for text in lines:
            name, _, flags = text.partition(":")
            if name.strip() == "flags":
                return tuple(flags.split())
    return ()


def judge_device(products: list[str], interfaces: list[str], cpu_flags: tuple[str, ...] = ()) -> Finding:
    """Names of the machine and of its network interfaces that are up; what its processor says of itself."""
    signs = [text for text in products if any(word in text.lower() for word in VIRTUAL)]
    signs += ["the processor's flag hypervisor"] if "hypervisor" in cpu_flags else []
    signs += [f"network {name}" for name in interfaces if name.lower().startswith(TUNNELS)]
    if not signs:
        return ok("device", "no sign of a virtual machine or tunnel")
    advice = "the firm wants orders from your own device: do not trade an account from a VM, VPS or VPN"
    return warn("device", f"signs of a virtual machine or tunnel: {', '.join(dict.fromkeys(signs))}", advice)
