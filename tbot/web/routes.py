"""The routes that are not NiceGUI's: the link's entrance, the commands, and how a command is getting on."""

import json
import time
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tbot.web.actions import VERBS, Actions, Verb
from tbot.web.guard import ACT, ENTER, cookie_name
from tbot.web.passes import LIFE_S, Once, Passes

HAND = "x-tbot-hand"  # header with the secret that lets a page act
MOST_BODY = 4096
MODES = ("live", "paper", "sim")
STATIC = {"app.css": "text/css", "app.js": "text/javascript"}


def static_text(name: str) -> str:
    """One of our own files of the page."""
    return files("tbot.web").joinpath(name).read_text(encoding="utf-8")


@dataclass
class Routes:
    """What the routes work on."""

    passes: Passes
    once: Once
    actions: Actions
    port: int
    read_only: bool
    account: int | None = None  # the one that may be acted on; None: all

    def table(self) -> list[BaseRoute]:
        """For Starlette."""
        found: list[BaseRoute] = [
            Route(ENTER, self._entrance, methods=["GET"]),
            Route(ENTER, self._enter, methods=["POST"]),
            Route(f"{ACT}{{verb}}", self._act, methods=["POST"]),
            Route("/job/{number:int}", self._job, methods=["GET"]),
        ]
        return found + [Route(f"/static/{name}", self._static, methods=["GET"]) for name in STATIC]

    async def _static(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return Response(static_text(name), media_type=STATIC[name])

    async def _entrance(self, _request: Request) -> Response:
        """A page that takes the secret from behind the `#`, where no log, history or other program sees it."""
        return HTMLResponse(static_text("enter.html"))

    async def _enter(self, request: Request) -> Response:
        body = await _body(request)
        secret = body.get("link") if body is not None else None
        admitted = self.passes.redeem(secret) if isinstance(secret, str) else None
        if admitted is None:
            return _refused(403, "this link was used already, or is of an earlier start; start tbot web again")
        answer = JSONResponse({"hand": admitted.hand})
        answer.set_cookie(
            cookie_name(self.port), admitted.cookie, max_age=LIFE_S, path="/", httponly=True, samesite="strict"
        )
        return answer

    async def _act(self, request: Request) -> Response:
        verb = request.path_params["verb"]
        if verb not in VERBS:
            return _refused(404, "there is no such command here; tbot resume is for the terminal alone")
        if self.read_only:
            return _refused(403, "this page was started with --read-only; it shows and does nothing")
        if not self.passes.may_act(request.scope["tbot_cookie"], request.headers.get(HAND, "")):
            return _refused(403, "this page may look, and not act")
        body = await _body(request)
        if body is None:
            return _refused(400, "this command cannot be read; nothing was done")
        account, mode, nonce, sent_ms = (body.get(name) for name in ("account", "mode", "nonce", "sent_ms"))
        sound = (
            (account is None or (type(account) is int and 0 <= account < 2**63))
            and (mode is None or mode in MODES)
            and isinstance(nonce, str)
            and isinstance(sent_ms, int | float)
            and abs(sent_ms) < 2**53
        )
        if not sound:
            return _refused(400, "this command cannot be read; nothing was done")
        if self.account not in (None, account):
            return _refused(403, f"this page is for account {self.account} alone")
        why = self.once.refusal(str(nonce), float(sent_ms or 0))
        if why:
            return _refused(409, why)
        number = self.actions.begin(_verb(verb), account, mode)
        return JSONResponse({"job": number}, 202)

    async def _job(self, request: Request) -> Response:
        job = self.actions.jobs.get(request.path_params["number"])
        if job is None:
            return _refused(404, "there is no such command")
        return JSONResponse(job.document(time.monotonic()))


def _verb(text: str) -> Verb:
    return next(verb for verb in VERBS if verb == text)


def _refused(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)


async def _body(request: Request) -> dict[str, Any] | None:
    """The JSON object that was sent; None when it is none. Only JSON: a form of another page cannot send that."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return None
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BODY:
            return None
    try:
        body = json.loads(bytes(data))
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
