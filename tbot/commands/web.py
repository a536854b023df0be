"""`tbot web`: the web page of the running engine, on this machine's loopback address alone."""

import contextlib
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.gateway import config_option, credentials_option
from tbot.commands.options import Number
from tbot.errors import ConfigError, TbotError, missing_extra

if TYPE_CHECKING:
    from tbot.commands.runs import Run
    from tbot.web.source import Found

DEFAULT_PORT = 8787
READ_PATTERNS_S = 60


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True,
              help="Loopback port; 0 takes a free one.")  # fmt: skip
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser of this desktop.")
@click.option("--read-only", is_flag=True, help="A page that shows and does nothing.")
@click.option("--account", type=Number(), metavar="ID", help="Show this account alone, and act on it alone.")
@click.option("--mode", type=click.Choice(("live", "paper", "sim")), help="Which engine, when several of them run.")
@click.option("--tz", default="Europe/Helsinki", show_default=True, help="Time zone of the page.")
@config_option
@credentials_option
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def web(
    port: int,
    open_browser: bool,
    read_only: bool,
    account: int | None,
    mode: str | None,
    tz: str,
    config_path: Path | None,
    credentials_file: Path | None,
    debug: bool,
) -> int:
    """Show the engine on a web page: candles with zones, positions, money, journal, and a kill switch.

    The page answers on 127.0.0.1 only and wants a link that works once: the first one printed may stop the engine, the
    second may only look. It starts before the engine or after it, and goes on when the engine is started again. Ctrl-C
    ends the page, never the engine.
    """
    import asyncio

    from tbot.commands.options import parse_zone
    from tbot.home import home, make_home

    zone = parse_zone(tz)
    # NiceGUI would read a folder where it is started: this one has nothing in it, and nobody else can put it there.
    os.environ["NICEGUI_STORAGE_PATH"] = str(home().resolve() / "web-unused")
    try:
        import nicegui  # noqa: F401
    except ImportError:
        raise missing_extra("the web page", "nicegui", "web") from None
    from tbot.web.actions import Actions, Verb
    from tbot.web.page import Shown
    from tbot.web.passes import Once, Passes
    from tbot.web.routes import Routes
    from tbot.web.server import build, serve
    from tbot.web.source import Source

    places = [f"--config={config_path}"] if config_path is not None else []
    places += [f"--credentials-file={credentials_file}"] if credentials_file is not None else []
    options: dict[Verb, tuple[str, ...]] = {"kill": tuple(places)}
    sessions = make_home() / "web-sessions.json"
    with contextlib.closing(listen(port)) as listener:
        port = listener.getsockname()[1]
        passes = Passes(sessions)
        once, actions = Once(), Actions(options)
        source = Source(lambda: find(mode), Patterns(mode, config_path))
        shown = Shown(source, actions, zone, once.life, account)
        application = build(shown, Routes(passes, once, actions, port, read_only, account))
        acting = None if read_only else f"http://127.0.0.1:{port}/enter#{passes.offer('act')}"
        looking = f"http://127.0.0.1:{port}/enter#{passes.offer('look')}"
        with _shortcut(acting or looking) if open_browser else contextlib.nullcontext():
            asyncio.run(serve(application, listener, shown, lambda: announce(acting, looking)))
    return 0


def announce(acting: str | None, looking: str) -> None:
    """Where the page is: the only place where the links' secrets are ever written."""
    if acting is not None:
        click.echo(f"T-BOT page:      {acting}")
    click.echo(f"read-only page:  {looking}")
    click.echo("Each link works once. Ctrl-C ends the page; the engine goes on.")
    sys.stdout.flush()


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback address. ConfigError when that is not possible."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"port {port} of 127.0.0.1 cannot be used: {error.strerror}; choose another with --port"
        ) from error
    listener.listen(64)
    return listener


def chosen_run(mode: str | None) -> "Run | None":
    """The run to look at: one that lives, else the newest that left a status; None when there was none."""
    from tbot.commands.runs import known_runs, living_runs

    if living := living_runs(mode):
        return living[0]
    return next((run for run in known_runs() if mode in (None, run.mode) and run.status()), None)


class Patterns:
    """How each pattern did, for the page: read aside once a minute while somebody looks, for it may take seconds."""

    def __init__(self, mode: str | None, config_path: Path | None) -> None:
        self._mode, self._config_path = mode, config_path
        self._rows: Sequence[dict[str, Any]] = ()
        self._begun_s = float("-inf")
        self._thread: threading.Thread | None = None

    def __call__(self) -> "Sequence[dict[str, Any]]":
        """What was read last; nothing where nobody keeps count."""
        now = time.monotonic()
        if now - self._begun_s > READ_PATTERNS_S and (self._thread is None or not self._thread.is_alive()):
            self._begun_s = now
            self._thread = threading.Thread(target=self.read, daemon=True, name="patterns")
            self._thread.start()
        return self._rows

    def read(self) -> None:
        """The rows anew; a database that is missing or damaged shows as none."""
        from tbot.analytics.pattern_table import Wanted, table
        from tbot.commands.patterns import document
        from tbot.config import load

        run = chosen_run(self._mode)
        try:
            told = table(run.state_dir, load(self._config_path).learning, Wanted()) if run is not None else None
            rows = document(run.state_dir, told)["patterns"] if run is not None and told is not None else ()
        except (TbotError, OSError):
            rows = ()
        self._rows = [row for row in rows if row["n"]]


def find(mode: str | None) -> "Found | None":
    """`chosen_run` as the page looks at it."""
    from tbot.dashboard.feed_view import open_view
    from tbot.web.source import Found

    run = chosen_run(mode)
    if run is None:
        return None
    return Found(f"{run.run_dir} {run.pid} {run.start}", run.alive, lambda: open_view(run.run_dir, run.state_dir))


@contextlib.contextmanager
def _shortcut(link: str) -> "Iterator[None]":
    """Open the browser by a file of ours alone: an address on a command line could be read by every user here."""
    import webbrowser

    handle, name = tempfile.mkstemp(suffix=".html", prefix="tbot-web-")  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f'<!doctype html><meta charset="utf-8"><script>location.replace("{link}")</script>')
        if not webbrowser.open(Path(name).as_uri()):
            click.echo("no browser could be opened here; open the link by hand", err=True)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


