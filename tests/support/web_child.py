"""Serves the web page over a made-up engine, for a browser: `python web_child.py [TEXT]`; says where in a JSON line.

TEXT stands wherever a broker or a file could have put one. A command that is pressed is only played.
"""

import asyncio
import json
import sys
from zoneinfo import ZoneInfo

from tbot.commands.web import listen
from tbot.web.actions import Actions
from tbot.web.page import Shown
from tbot.web.passes import Once, Passes
from tbot.web.routes import Routes
from tbot.web.server import build, serve
from tbot.web.source import Source
from web_market import FakeEngine
from web_rig import Script


def main() -> None:
    engine = FakeEngine(hostile=sys.argv[1] if len(sys.argv) > 1 else "")
    script = Script(0, {"flat": True, "text": ""}, ["DEMO run, account 1001 A: closing everything"])
    with listen(0) as listener:
        port = listener.getsockname()[1]
        passes, once, actions = Passes(None), Once(), Actions({}, script)
        shown = Shown(Source(engine.found), actions, ZoneInfo("Europe/Helsinki"), once.life)
        application = build(shown, Routes(passes, once, actions, port, read_only=False))
        where = {role: f"http://127.0.0.1:{port}/enter#{passes.offer(role)}" for role in ("act", "look")}
        asyncio.run(serve(application, listener, shown, lambda: print(json.dumps(where), flush=True)))


if __name__ == "__main__":
    main()
