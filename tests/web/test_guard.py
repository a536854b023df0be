"""The page's door: who is let in, who may act, what leaves (I31, F-SEC-03)."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tbot.web import guard
from tbot.web.passes import LIFE_S, MOST_SESSIONS, Once, Passes
from web_rig import HOST, ORIGIN, PORT, Door, Script

FOREIGN = ("http://evil.example", "http://127.0.0.1:9", f"https://{HOST}", "null", "")


@pytest.fixture
def door() -> Door:
    return Door()


# ------------------------------------------------------------------------------------------------------------ looking
def test_the_page_is_seen_with_a_pass(door: Door) -> None:
    answer = door.ask("GET", "/")
    assert (answer.status_code, answer.text) == (200, "page")
    for name in ("Origin", "Sec-Fetch-Site"):
        assert door.ask("GET", "/", door.headers(**{name: None})).status_code == 200


@pytest.mark.parametrize("cookie", [None, "", "tbot_web_8123=", "tbot_web_8123=wrong", "tbot_web_9=ACTOR", "\x00;=;"])
@pytest.mark.parametrize("path", ["/", "/job/1", "/static/app.js", "/_nicegui/3/static/x.js", "/anything"])
def test_I31_without_a_pass_nothing_is_seen(door: Door, path: str, cookie: str | None) -> None:
    cookie = cookie and cookie.replace("ACTOR", door.actor.cookie)
    answer = door.ask("GET", path, door.headers(cookie=cookie))
    assert answer.status_code == 401
    assert "tbot web" in answer.text
    assert door.reached == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8123", "127.0.0.1", "127.0.0.1:80", "[::1]:8123", ""])
def test_I31_a_foreign_host_is_refused(door: Door, host: str) -> None:
    for method, path in (("GET", "/"), ("POST", "/act/kill"), ("POST", "/enter"), ("GET", "/enter")):
        answer = door.ask(method, path, door.headers(host=host), door.command())
        assert answer.status_code == 421
    assert (door.reached, door.script.started) == ([], [])


def test_localhost_is_a_name_of_ours(door: Door) -> None:
    headers = door.headers(host=f"localhost:{PORT}", origin=f"http://localhost:{PORT}")
    assert door.ask("GET", "/", headers).status_code == 200
    assert door.ask("GET", "/", door.headers(host=f"localhost:{PORT}")).status_code == 403  # the other name's page


@pytest.mark.parametrize("origin", FOREIGN)
def test_I31_a_foreign_origin_is_refused(door: Door, origin: str) -> None:
    for method, path in (("GET", "/"), ("POST", "/act/kill"), ("POST", "/enter")):
        assert door.ask(method, path, door.headers(origin=origin), door.command()).status_code == 403
    assert door.socket(door.headers(origin=origin)) == "websocket.close"
    assert (door.reached, door.script.started) == ([], [])


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_I31_another_pages_request_is_refused(door: Door, site: str) -> None:
    headers = door.headers(sec_fetch_site=site, sec_fetch_mode="navigate")
    assert door.ask("GET", "/", headers).status_code == 403
    assert door.ask("GET", "/enter", {**headers, "Cookie": ""}).status_code == 200  # a link may be anywhere
    assert door.ask("POST", "/enter", headers, {"link": "x"}).status_code == 403


def test_I31_a_socket_wants_pass_and_origin(door: Door) -> None:
    assert door.socket(door.headers()) == "websocket.accept"
    assert door.socket(door.headers(door.looker)) == "websocket.accept"
    for missing in ("cookie", "origin", "host"):
        assert door.socket(door.headers(**{missing: None})) == "websocket.close"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "POST"])
def test_I31_only_reading_is_done_outside_the_commands(door: Door, method: str) -> None:
    assert door.ask(method, "/", door.headers(), b"x").status_code == 405
    assert door.reached == []


def test_what_leaves_may_load_nothing_from_elsewhere(door: Door) -> None:
    for answer in (door.ask("GET", "/"), door.ask("GET", "/", door.headers(cookie=None)), door.act("kill")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "connect-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
    library = door.ask("GET", "/_nicegui/3/static/x.js")
    assert library.headers["cache-control"] == "public"


# --------------------------------------------------------------------------------------------------------- the entrance
def test_a_link_works_once(door: Door) -> None:
    link = door.passes.offer("act")
    headers = door.headers(cookie=None, x_tbot_hand=None)
    first = door.ask("POST", "/enter", headers, {"link": link})
    assert first.status_code == 200
    cookie = first.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/", f"tbot_web_{PORT}="))
    assert link not in first.text + cookie
    again = door.ask("POST", "/enter", headers, {"link": link})
    assert again.status_code == 403
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize(
    "body", [{}, {"link": 5}, {"link": "x"}, [], b"", b"{", b"[" * 5000, b'{"link":"' + b"x" * 9000]
)
def test_I31_no_other_word_opens(door: Door, body: object) -> None:
    answer = door.ask("POST", "/enter", door.headers(cookie=None), body)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_the_read_only_link_gives_no_hand(door: Door) -> None:
    answer = door.ask("POST", "/enter", door.headers(cookie=None), {"link": door.passes.offer("look")})
    assert answer.json() == {"hand": ""}


# ------------------------------------------------------------------------------------------------------------ sessions
def test_sessions_outlive_a_restart_and_secrets_do_not_reach_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "home" / "web-sessions.json"
    before = Passes(path)
    admitted = before.redeem(before.offer("act"))
    assert admitted is not None
    unused = before.offer("act")
    assert path.stat().st_mode & 0o777 == 0o600
    kept = path.read_text()
    assert not any(secret in kept for secret in (admitted.cookie, admitted.hand, unused))
    after = Passes(path)
    assert after.may_act(admitted.cookie, admitted.hand)
    assert after.redeem(unused) is None


def test_a_session_ends_and_the_oldest_makes_room(tmp_path: Path) -> None:
    now = [1000.0]
    passes = Passes(tmp_path / "s.json", lambda: now[0])
    admitted = [passes.redeem(passes.offer("act")) for _ in range(MOST_SESSIONS + 1)]
    assert not passes.may_look(admitted[0].cookie)  # type: ignore[union-attr]
    last = admitted[-1]
    assert last is not None
    assert passes.may_act(last.cookie, last.hand)
    now[0] += LIFE_S
    assert not passes.may_look(last.cookie)
    assert not Passes(tmp_path / "s.json", lambda: now[0]).may_look(last.cookie)


@pytest.mark.parametrize(
    "content", ["", "{}", '{"sessions": 5}', '{"sessions": [[1]]}', "[" * 9999, '{"sessions": [["a", "b", 1e400]]}']
)
def test_a_damaged_file_of_sessions_locks_nobody_in(tmp_path: Path, content: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(content)
    path.chmod(0o600)
    passes = Passes(path)
    assert not passes.may_look("a")
    assert passes.redeem(passes.offer("look")) is not None


def test_F_SEC_06_a_file_of_sessions_that_others_could_write_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    before = Passes(path)
    admitted = before.redeem(before.offer("act"))
    assert admitted is not None
    path.chmod(0o644)
    assert not Passes(path).may_look(admitted.cookie)
    path.chmod(0o600)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    assert not Passes(link).may_look(admitted.cookie)
    assert Passes(path).may_look(admitted.cookie)


# ------------------------------------------------------------------------------------------------------------- acting
@pytest.mark.parametrize("verb", ["pause", "flatten", "kill"])
def test_a_command_with_everything_is_done(door: Door, verb: str) -> None:
    answer = door.act(verb, account=1001)
    assert answer.status_code == 202
    more = ["--config=f.toml"] if verb == "kill" else []
    assert door.script.started == [[verb, "--json", *more, "--account", "1001", "--mode", "sim"]]


def test_F_SEC_03_resume_and_everything_else_is_for_the_terminal(door: Door) -> None:
    for verb in ("resume", "panic", "run", "live", "", "kill/x", "KILL", "..%2Fkill"):
        assert door.act(verb).status_code in (404, 405)
    assert door.script.started == []


@pytest.mark.parametrize("verb", ["pause", "flatten", "kill"])
def test_I31_nothing_is_done_without_the_hand(door: Door, verb: str) -> None:
    other = door.passes.redeem(door.passes.offer("act"))
    assert other is not None
    for hand in (None, "", "wrong", door.looker.cookie, door.actor.cookie, other.hand):
        assert door.act(verb, door.headers(x_tbot_hand=hand)).status_code == 403
    assert door.act(verb, door.headers(door.looker)).status_code == 403
    assert door.act(verb, door.headers(door.looker, x_tbot_hand=door.actor.hand)).status_code == 403
    assert door.act(verb, door.headers(cookie=None)).status_code == 401
    assert door.act(verb, door.headers(origin=None)).status_code == 403
    assert door.script.started == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_I31_nothing_changes_by_get(door: Door, method: str) -> None:
    for verb in ("pause", "flatten", "kill"):
        assert door.ask(method, f"/act/{verb}").status_code == 405
    assert door.script.started == []


def test_I31_a_page_for_one_account_touches_no_other() -> None:
    door = Door(account=7)
    for account in (8, None):
        assert door.act("kill", account=account).status_code == 403
    assert door.script.started == []
    assert door.act("kill", account=7).status_code == 202


def test_I31_read_only_refuses_those_who_may_act_elsewhere() -> None:
    door = Door(read_only=True)
    for verb in ("pause", "flatten", "kill"):
        answer = door.act(verb)
        assert answer.status_code == 403
        assert "read-only" in answer.json()["error"]
    assert door.script.started == []


def test_I31_a_command_is_done_once(door: Door) -> None:
    command = door.command()
    assert door.ask("POST", "/act/kill", None, command).status_code == 202
    again = door.ask("POST", "/act/kill", None, command)
    assert again.status_code == 409
    assert "taken before" in again.json()["error"]
    assert len(door.script.started) == 1


@pytest.mark.parametrize(("off_s", "done"), [(-9, True), (-11, False), (1, True), (5, False)])
def test_I31_an_old_command_is_refused(door: Door, off_s: int, done: bool) -> None:
    door.once._now_s = lambda: 1_800_000_000.0
    sent_ms = (1_800_000_000 + off_s) * 1000
    assert door.act("kill", sent_ms=sent_ms).status_code == (202 if done else 409)
    assert len(door.script.started) == done


def test_I31_a_command_for_an_earlier_life_is_refused(door: Door) -> None:
    nonce = door.command()["nonce"].partition(".")[2]
    for wrong in (f"{Once().life}.{nonce}", nonce, "", f"{door.once.life}.", f"{door.once.life}.{'x' * 65}"):
        assert door.act("kill", nonce=wrong).status_code == 409
    assert door.script.started == []


@pytest.mark.parametrize(
    "wrong",
    [{"account": "1"}, {"account": True}, {"account": -1}, {"account": 2**63}, {"mode": "x"}, {"mode": ["sim"]},
     {"nonce": 5}, {"nonce": None}, {"sent_ms": "now"}, {"sent_ms": None}, {"sent_ms": 1e300}],
)  # fmt: skip
def test_a_command_that_cannot_be_read_does_nothing(door: Door, wrong: dict[str, object]) -> None:
    assert door.act("kill", **wrong).status_code == 400
    assert door.script.started == []


def test_I31_a_form_of_another_page_is_no_command(door: Door) -> None:
    body = json.dumps(door.command()).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert door.ask("POST", "/act/kill", door.headers(content_type=kind), body).status_code == 400
    assert door.script.started == []


# --------------------------------------------------------------------------------------------------- how it gets on
@pytest.mark.parametrize(
    ("code", "document", "lines", "phase", "alarming"),
    [
        (0, {"flat": True, "text": ""}, ["DEMO run, account 1 A: closing"], "flat", False),
        (11, {"flat": False, "text": "it is not flat in time"}, ["DEMO run, account 1 A: closing"], "not_flat", True),
        (0, {"flat": None, "text": ""}, [], "failed", True),  # code 0 alone proves nothing
        (0, None, [], "failed", True),
        (6, {"flat": None, "text": ""}, ["DEMO run, account 1 A: kill refused: no"], "refused", False),
        (7, None, ["tbot: no engine runs here"], "failed", True),
    ],
)
def test_the_end_of_a_command_is_told_as_it_is(
    code: int, document: dict[str, object] | None, lines: list[str], phase: str, alarming: bool
) -> None:
    door = Door(script=Script(code, document, lines))
    number = door.act("kill").json()["job"]
    job = door.ask("GET", f"/job/{number}").json()
    assert (job["phase"], job["exit_code"], job["alarming"], job["over"]) == (phase, code, alarming, True)
    assert job["lines"] == lines
    assert job["acknowledged"] is (bool(lines) and "closing" in lines[0])
    assert door.ask("GET", "/job/99").status_code == 404


# --------------------------------------------------------------------------------------------------------- other users
@pytest.mark.parametrize(("uid", "status"), [(None, 200), (0, 200), (os.geteuid(), 200), (54_321, 403)])
def test_I31_another_users_process_is_refused(uid: int | None, status: int) -> None:
    door = Door(uid=uid)
    assert door.ask("GET", "/").status_code == status
    assert door.act("kill").status_code == (202 if status == 200 else 403)


KNOCK = """
import encodings.idna, os, socket, sys
os.setuid(int(sys.argv[2]))
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sys.stdin.read()
"""


@pytest.mark.privileged
def test_I31_the_system_tells_whose_process_knocks() -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("this system has no /proc/net/tcp")
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for uid in (0, 54_321):
            arguments = [sys.executable, "-c", KNOCK, str(port), str(uid)]
            with subprocess.Popen(arguments, stdin=subprocess.PIPE) as child:
                connection, client = server.accept()
                with connection:
                    assert guard.peer_uid(client, port) == uid
                    assert guard.peer_uid(("127.0.0.2", client[1]), port) is None
                child.communicate()


def test_the_origin_of_the_page_is_the_one_it_is_served_from() -> None:
    assert f"http://{HOST}" == ORIGIN
