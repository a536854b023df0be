"""Where the login may come from, in which order, and what is refused; no value ever shows in a text."""

import os
import socket
import subprocess
import sys
import types
from pathlib import Path

import pytest

from tbot.config import Config, GatewayConfig, require_login
from tbot.credentials import MAX_BYTES, file_fault, find, from_keyring, read_file
from tbot.errors import AuthError

CANARY = "canary/Key+with=signs$HOME#1"
USER_ID = os.geteuid()


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without `.env`, an environment without the variables, no keyring."""
    monkeypatch.chdir(tmp_path)
    for name in ("TBOT_USERNAME", "TBOT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def login_file(path: Path, user: str, key: str, mode: int = 0o600) -> Path:
    return written(path, f"TBOT_USERNAME={user}\nTBOT_API_KEY={key}\n", mode)


def keyring(monkeypatch: pytest.MonkeyPatch, values: dict[str, str] | Exception) -> list[str]:
    asked: list[str] = []

    def get_password(service: str, name: str) -> str | None:
        asked.append(f"{service} {name}")
        if isinstance(values, Exception):
            raise values
        return values.get(name)

    module = types.ModuleType("keyring")
    module.get_password = get_password  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", module)
    return asked


def test_the_order_of_the_places(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place on top of all later ones; taken away one after the other from the first."""
    home = clean / "home"
    option = login_file(clean / "option", "by-option", "k1")
    configured = login_file(clean / "configured", "by-config", "k4")
    login_file(home / "credentials", "by-home", "k6")
    dotenv = login_file(clean / ".env", "by-dotenv", "k3")
    asked = keyring(monkeypatch, {"TBOT_USERNAME": "by-keyring", "TBOT_API_KEY": "k5"})

    def user(given: Path | None, named: Path | None) -> str:
        monkeypatch.setenv("TBOT_USERNAME", "by-environment")
        monkeypatch.setenv("TBOT_API_KEY", "k2")
        found = find(option=given, configured=named, home=home)
        assert found is not None
        assert not {"TBOT_USERNAME", "TBOT_API_KEY"} & set(os.environ)  # taken out even when not needed
        return found.user_name

    assert user(option, configured) == "by-option"
    assert user(None, configured) == "by-environment"
    assert asked == []  # nobody is asked for a keyring's password in vain
    for expected, gone in (("by-dotenv", dotenv), ("by-config", None), ("by-keyring", None), ("by-home", None)):
        found = find(configured=None if expected in ("by-keyring", "by-home") else configured, home=home)
        assert found is not None
        assert found.user_name == expected
        if gone is not None:
            gone.unlink()
        if expected == "by-keyring":
            keyring(monkeypatch, {})
    assert asked == ["tbot TBOT_USERNAME", "tbot TBOT_API_KEY"]
    (home / "credentials").unlink()
    assert find(home=home) is None


def test_each_value_from_the_first_place_that_has_it(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBOT_USERNAME", "somebody")
    keyring(monkeypatch, {"TBOT_USERNAME": "other", "TBOT_API_KEY": CANARY})
    found = find(home=clean)
    assert found is not None
    assert found.pair == ("somebody", CANARY)
    assert found.source == "environment and keyring"
    assert CANARY not in repr(found)
    assert "somebody" not in repr(found)


@pytest.mark.parametrize("error", [RuntimeError("no backend"), OSError("locked"), KeyError("x")])
def test_a_keyring_that_does_not_work_is_no_keyring(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring(monkeypatch, error)
    assert from_keyring() == {}


def test_without_the_keyring_package() -> None:
    assert from_keyring() == {}


@pytest.mark.parametrize(
    "text",
    [
        f"TBOT_USERNAME=u\nTBOT_API_KEY={CANARY}\n",
        f"# mine\n\n  export TBOT_USERNAME = u \r\nTBOT_API_KEY='{CANARY}'\nOTHER=1",
        f'\ufeffTBOT_API_KEY="{CANARY}"\nTBOT_USERNAME=u',
    ],
)
def test_forms_of_the_file(clean: Path, text: str) -> None:
    values = read_file(written(clean / "c", text))
    assert (values["TBOT_USERNAME"], values["TBOT_API_KEY"]) == ("u", CANARY)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o620, 0o602, 0o601, 0o610, 0o666, 0o777])
def test_F_SEC_01_a_file_that_others_can_read_is_refused(clean: Path, mode: int) -> None:
    """Root may read everything, so the mode is checked on the status of the open file and not by trying."""
    path = login_file(clean / "c", "u", CANARY, mode)
    with pytest.raises(AuthError, match=f"mode 0{mode:o}.*chmod 600") as caught:
        read_file(path)
    assert CANARY not in str(caught.value)
    path.chmod(0o400)
    assert read_file(path)["TBOT_API_KEY"] == CANARY


def test_F_SEC_06_links_pipes_folders_and_foreign_files_are_refused(clean: Path) -> None:
    real = login_file(clean / "real", "u", CANARY)
    (clean / "link").symlink_to(real)
    (clean / "dangling").symlink_to(clean / "nowhere")
    os.mkfifo(clean / "pipe", 0o600)
    (clean / "folder").mkdir()
    for name, words in (
        ("link", "is a link"), ("dangling", "is a link"), ("pipe", "not a plain file"), ("folder", "not a plain file"),
        ("absent", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(AuthError, match=words):
            read_file(clean / name)
    with pytest.raises(AuthError, match="belongs to another user"):
        read_file(real, uid=USER_ID + 1)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.bind("sock")
        with pytest.raises(AuthError, match="cannot be read"):
            read_file(clean / "sock")
    assert file_fault(os.lstat(clean / "link"), USER_ID) == "is a link"
    assert file_fault(os.stat(real), USER_ID) == ""


@pytest.mark.skipif(USER_ID != 0, reason="only root can become somebody else")
def test_F_SEC_02_another_user_gets_nothing(clean: Path) -> None:
    """A child under another uid: a 0600 file of ours is closed to it, an open one is refused as foreign."""
    login_file(clean / "closed", "u", CANARY)
    login_file(clean / "open", "u", CANARY, 0o644)
    clean.chmod(0o755)
    said = []
    for name in ("closed", "open"):
        reading, writing = os.pipe()
        descriptor = os.open(clean, os.O_PATH)  # its parents may be closed to the other user
        child = os.fork()
        if child == 0:
            try:
                os.fchdir(descriptor)
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                read_file(Path(name))
                os.write(writing, b"READ")
            except AuthError as error:
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
        os.close(writing)
        os.close(descriptor)
        os.waitpid(child, 0)
        with os.fdopen(reading, "rb") as pipe:
            said.append(pipe.read().decode())
    assert "cannot be read" in said[0]
    assert "belongs to another user" in said[1]
    assert CANARY not in "".join(said)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"TBOT_API_KEY", b"TBOT_API_KEY=a\nTBOT_API_KEY=b\n", b"{}"])
def test_F_SEC_01_an_unreadable_file_is_not_quoted(clean: Path, data: bytes) -> None:
    (clean / "c").write_bytes(data + CANARY.replace("=", "").encode())
    (clean / "c").chmod(0o600)
    with pytest.raises(AuthError, match="is not understood") as caught:
        read_file(clean / "c")
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_huge_file_is_refused(clean: Path) -> None:
    with pytest.raises(AuthError, match="longer than"):
        read_file(written(clean / "c", "#" * (MAX_BYTES + 1)))


def test_configured_and_default_file(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(clean))
    login_file(clean / "mine", "configured", "k")
    config = Config(gateway=GatewayConfig(credentials_file="~/mine"))
    assert require_login(config).user_name == "configured"
    with pytest.raises(AuthError, match="no credentials"):
        require_login(Config())
    login_file(clean / "home" / "credentials", "default", "k")
    assert require_login(Config()).user_name == "default"
    with pytest.raises(AuthError, match="cannot be read"):
        require_login(Config(gateway=GatewayConfig(credentials_file="~/absent")))


def test_F_SEC_01_children_do_not_inherit_what_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBOT_USERNAME", "somebody")
    monkeypatch.setenv("TBOT_API_KEY", CANARY)
    assert require_login(Config()).pair == ("somebody", CANARY)
    done = subprocess.run(["env"], capture_output=True, text=True, check=True)
    assert "TBOT_API_KEY" not in done.stdout
    assert CANARY not in done.stdout


def test_dotenv_is_taken_as_it_stands(clean: Path) -> None:
    written(clean / ".env", f"TBOT_USERNAME=u\nTBOT_API_KEY='{CANARY}'\n", 0o644)
    found = find(home=clean)
    assert found is not None
    assert found.api_key == CANARY
    (clean / ".env").write_bytes(b"TBOT_API_KEY=\xff\xfe")
    with pytest.raises(AuthError, match="cannot be read"):
        find(home=clean)
