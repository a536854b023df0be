"""`tbot metrics`: figures of the running engine for Prometheus; `tbot run --metrics` starts the same as its child.

Its own process, which only reads (see tbot.engine.metrics): killed, frozen or never started it changes nothing.
"""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from tbot.commands.options import StateFolder
from tbot.commands.status import gone_because, newest_status
from tbot.errors import ConfigError, missing_extra

PORT = 9464  # what OpenTelemetry's Prometheus exporter uses, too; none is registered for us
SECRETS = ("TBOT_USERNAME", "TBOT_API_KEY")


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Of 127.0.0.1.")
@click.option(
    "--state-dir", type=StateFolder(), help="Of the run.  [default: newest]"
)
@click.option("--until-closed", is_flag=True, hidden=True, help="End when stdin is closed (the run has ended).")
def metrics(port: int, state_dir: Path | None, until_closed: bool) -> int:
    """Serve figures of the running engine at http://127.0.0.1:PORT/metrics until Ctrl-C.

    Needs `pip install 'tbot[metrics]'`. docs/operating.md tells about Prometheus, Grafana and alerts.
    """
    serve = _server()
    folder = newest_status().parent if state_dir is None else state_dir
    try:
        serve(folder / "status.json", lambda: _run_dir(folder), port, lambda told: not gone_because(told, folder))
    except OSError as error:
        raise _taken(port, error) from None
    click.echo(f"tbot: metrics at http://127.0.0.1:{port}/metrics", err=True)
    if until_closed:
        sys.stdin.buffer.read()  # until whoever started us is gone, however it went
        return 0
    threading.Event().wait()
    return 0


def _taken(port: int, error: OSError) -> ConfigError:
    return ConfigError(f"port {port} of 127.0.0.1 cannot be used: {error.strerror}; choose another")


def _server() -> Callable[..., int]:
    try:
        from tbot.engine.metrics import serve
    except ImportError:
        raise missing_extra("serving metrics", "prometheus_client", "metrics") from None
    return serve


def _run_dir(state_dir: Path) -> Path | None:
    """Where the rings of a run are, by its word; None when it left none or has ended."""
    import orjson

    from tbot.engine.state_dir import RUN_FILE

    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return Path(orjson.loads((state_dir / RUN_FILE).read_bytes())["run_dir"])
    return None


@contextlib.contextmanager
def beside(state_dir: Path, port: int | None) -> Iterator[None]:
    """The exporter of a run, started now and gone afterwards; `port` None: none is wanted.

    ConfigError where the extra is missing, before anything of the run starts. It never sees the login.
    """
    if port is None:
        yield
        return
    _server()
    try:
        socket.create_server(("127.0.0.1", port)).close()  # said now: later nobody would see it
    except OSError as error:
        raise _taken(port, error) from None
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
    command = [sys.executable, "-m", "tbot", "metrics", "--until-closed", "--port", str(port)]
    child = subprocess.Popen(
        [*command, "--state-dir", str(state_dir)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        child.kill()
        with contextlib.suppress(OSError):
            child.communicate(timeout=5)
