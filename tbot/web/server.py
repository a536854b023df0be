"""Puts guard, routes and page together and serves them on the loopback address."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette

from tbot.web.guard import App, Guard, PeerUid, peer_uid
from tbot.web.page import Page, Shown
from tbot.web.routes import Routes

IDLE_LOOK_S = 5.0
LEAVE_S = 3  # connections that stay open at the end are cut then


def build(shown: Shown, routes: Routes, whose: PeerUid = peer_uid) -> App:
    """The whole application as ASGI, guard in front. Once a process: NiceGUI is one application."""
    from nicegui import Client, app, ui
    from starlette.requests import Request

    @ui.page("/", title="T-BOT", dark=None)
    def index(request: Request, client: Client) -> None:
        acts = not routes.read_only and routes.passes.acts(request.scope.get("tbot_cookie", ""))
        page = Page(shown, acts, client)
        page.build()
        client.on_connect(lambda: client.run_javascript("window.tbot.ready()"))

    outer = Starlette(routes=routes.table())
    ui.run_with(
        cast(Any, outer), title="T-BOT", tailwind=False, show_welcome_message=False, favicon="📈",
        reconnect_timeout=10.0, binding_refresh_interval=None, cache_control_directives="private, max-age=86400",
    )  # fmt: skip
    app.on_shutdown(shown.source.close)
    return Guard(cast(App, outer), routes.passes, routes.port, whose)


async def serve(application: App, listener: socket.socket, shown: Shown, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; commands under way are waited for."""
    config = uvicorn.Config(
        cast(Any, application), access_log=False, log_level="warning", log_config=None, server_header=False,
        timeout_graceful_shutdown=LEAVE_S, ws_max_size=256 * 1024, h11_max_incomplete_event_size=32 * 1024,
        proxy_headers=False,  # or a request could say for itself where it comes from
    )  # fmt: skip
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = uvicorn.Server(config)
    keeper = asyncio.create_task(_keep(shown))
    announcer = asyncio.create_task(_announce(server, ready))
    try:
        await server.serve([listener])
        await shown.actions.settle()
    finally:
        for task in (keeper, announcer):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _announce(server: uvicorn.Server, ready: Callable[[], None]) -> None:
    while not server.started:
        await asyncio.sleep(0.02)
    ready()


async def _keep(shown: Shown) -> None:
    while True:
        await asyncio.sleep(IDLE_LOOK_S)
        await asyncio.to_thread(shown.source.idle)
