"""Checks that fail, hang or talk nonsense cost their own line and nothing else."""

import threading

import pytest

from tbot.doctor.findings import Check, Finding, document, fail, line, ok, run_checks, warn


def run(*checks: Check, secrets: tuple[str, ...] = ()) -> tuple[list[Finding], list[Finding]]:
    told: list[Finding] = []
    return run_checks(checks, told.append, secrets), told


def test_one_after_the_other_whatever_comes() -> None:
    release = threading.Event()

    def hang() -> Finding:
        release.wait()
        return ok("late", "")

    def broken() -> Finding:
        raise RuntimeError("with a canary in its text")

    found, told = run(
        Check("first", lambda: ok("first", "fine")),
        Check("hangs", hang, limit_s=0.05),
        Check("broken", broken),
        Check("several", lambda: [warn("a", "x", "y"), fail("b", "x", "y")]),
    )
    release.set()
    assert found == told
    assert [(item.name, item.level) for item in found] == [
        ("first", "ok"), ("hangs", "fail"), ("broken", "fail"), ("a", "warn"), ("b", "fail"),
    ]  # fmt: skip
    assert "no result within 0.05 s" in found[1].text
    assert "RuntimeError" in found[2].text
    assert "canary" not in found[2].text


def test_F_SEC_05_texts_are_cleaned_of_secrets_and_of_signs_that_move_the_cursor() -> None:
    evil = "key canary-1 and eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.sig \x1b[2J\r\n\u202e" + "x" * 5000
    (found,), _ = run(Check("c", lambda: fail("c", evil, evil)), secrets=("canary-1",))
    for text in (found.text, found.fix):
        assert "canary-1" not in text
        assert "eyJ" not in text
        assert not set(text) & set("\x1b\r\n\u202e")
        assert len(text) <= 400


@pytest.mark.parametrize(("level", "good"), [("ok", True), ("warn", True), ("fail", False)])
def test_lines_and_document(level: str, good: bool) -> None:
    finding = Finding("disk", level, "5 MB free", "" if good else "free some")  # type: ignore[arg-type]
    assert line(finding) == f"{level:<5}disk: 5 MB free{'' if good else '; free some'}"
    made = document([finding, ok("a", "b")], "2026-11-25T12:00:00Z")
    assert (made["schema"], made["version"], made["ok"]) == ("tbot.doctor", 1, good)
    assert sum(made["counts"].values()) == 2
    assert made["checks"][0] == {
        "name": "disk", "level": level, "text": "5 MB free", "fix": "" if good else "free some"
    }  # fmt: skip
