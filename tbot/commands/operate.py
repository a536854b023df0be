"""`tbot pause`, `resume`, `flatten`, `kill`: a person's hand on the running engine, with a truthful answer.

Each asks the executor over the control socket. `kill` does not depend on an answer: without one within a second it
writes the lock file and closes everything itself, as `tbot panic` does (design ruling 11).
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tbot.commands.gateway import config_option, credentials_option
from tbot.commands.options import Filled, Number
from tbot.commands.words import say
from tbot.errors import AuthError, ConfigError, Halted, TbotError

if TYPE_CHECKING:
    from tbot.commands.runs import Run
    from tbot.domain.process_messages import AccountWord, ControlReply
    from tbot.engine.control import Verb

ACK_S = 3.0  # for what may wait
KILL_ACK_S = 1.0  # ruling 11
LOOK_S = 0.2  # between questions whether it is flat yet
SILENT_S = 2.0  # without an answer while waiting: the engine is gone
EXIT_NOT_FLAT = 11

F = TypeVar("F", bound=Callable[..., Any])


class NotDone(TbotError):
    """The engine is there and did not answer."""


class NotFlat(TbotError):
    """It was asked for, and is not proven."""

    exit_code = EXIT_NOT_FLAT


def _common(command: F) -> F:
    for option in (
        click.option("--debug", is_flag=True, help="Show tracebacks."),
        click.option("--json", "json_output", is_flag=True, help="One JSON document."),
        click.option(
            "--mode", type=click.Choice(("live", "paper", "sim")), help="Which engine, when several of them run."
        ),
        click.option("--account", type=Number(), metavar="ID", help="Only this account."),
    ):
        command = option(command)
    return command


_wait_option = click.option("--wait/--no-wait", default=True, show_default="wait", help="Wait until flat is proven.")
_for_option = click.option(
    "--for", "duration", type=Filled(), default="30s", show_default=True, metavar="TIME",
    help="How long to wait for the proof.",
)


@click.command()
@_common
def pause(account: int | None, mode: str | None, json_output: bool, debug: bool) -> int:
    """No new trades from now on. Open positions keep their stops and targets and stay managed.

    `tbot resume` ends it. A pause outlives a restart.
    """
    return _simple("pause", account, mode, json_output)


@click.command()
@_common
def resume(account: int | None, mode: str | None, json_output: bool, debug: bool) -> int:
    """Trade again after a pause or a flatten, or when you have looked into a HALTED engine.

    Refused (exit code 6) while something is being flattened, while the engine stops, and while the account is LOCKED:
    a lock ends with the trading day (17:00 Chicago) and in no other way.
    """
    return _simple("resume", account, mode, json_output)


@click.command()
@click.option("--contract", metavar="SYMBOL", help="Only this contract; it alone takes no entries until resume.")
@_wait_option
@_for_option
@_common
def flatten(
    contract: str | None,
    wait: bool,
    duration: str,
    account: int | None,
    mode: str | None,
    json_output: bool,
    debug: bool,
) -> int:
    """Cancel T-BOT's orders and close its positions, then stay paused until `tbot resume`.

    Positions and orders that you made by hand are left alone (`tbot kill` closes them, too). Exit code 0 when the
    broker's own lists prove it, 11 when they have not done so in time.
    """
    from tbot.commands.options import parse_duration_s
    from tbot.commands.runs import left_alone, the_run

    for_s = parse_duration_s(duration)
    run = the_run(mode)
    named = contract.upper() if contract else None
    reply = asked(run, "flatten", account, named, NotFlat)
    report = Report("flatten", json_output)
    report.reply(run, reply)
    for other in left_alone(run):
        report.say(other)
    if wait and not reply.refused:
        last = await_words(run, account, named, for_s, lambda words: all(word.flat for word in words))
        report.reply(run, last.reply)
        report.flat = last.done
        others = [word for word in (last.reply.accounts if last.reply else ()) if word.flat and word.still_open]
        if last.done and others and named is None:
            held = "; ".join(f"{word.still_open} of account {word.account}" for word in others)
            report.text = f"flat of what is T-BOT's: proven; left alone, because it is not: {held}"
        if not last.done:
            report.text = "not proven flat in time" if last.reply else "the engine went away before it was proven flat"
    return report.conclude()


@click.command()
@_wait_option
@_for_option
@click.option("--gateway", metavar="URL", help="Where to close without an engine; default: as in tbot panic.")
@config_option
@credentials_option
@_common
def kill(
    wait: bool,
    duration: str,
    gateway: str | None,
    config_path: Path | None,
    credentials_file: Path | None,
    account: int | None,
    mode: str | None,
    json_output: bool,
    debug: bool,
) -> int:
    """The kill switch: close EVERYTHING, and lock until the next trading day (17:00 Chicago). No way back before.

    Also what you opened by hand is closed. Works with the engine running, frozen, dead or never started: without an
    answer within a second it writes lock files and closes everything itself over REST, for which it needs the login.

    Exit code 0: proven flat. 11: NOT proven, look at the account on the platform now.
    """
    from tbot.commands.options import parse_duration_s

    switch = Kill(account, parse_duration_s(duration), wait, gateway, config_path, credentials_file)
    switch.report.json_output = json_output
    try:
        switch.everywhere(mode)
        if switch.strangers and not (switch.ends or switch.report.runs):
            raise click.UsageError("; ".join(dict.fromkeys(switch.strangers)))
    except KeyboardInterrupt:
        switch.ends.append((False, "interrupted before everything was proven"))
    switch.settle()
    return switch.report.conclude()


def _simple(verb: "Verb", account: int | None, mode: str | None, json_output: bool) -> int:
    from tbot.commands.runs import left_alone, the_run

    run = the_run(mode)
    report = Report(verb, json_output)
    report.reply(run, asked(run, verb, account, None, NotDone))
    for other in left_alone(run):
        report.say(other)
    return report.conclude()


def asked(
    run: "Run", verb: "Verb", account: int | None, contract: str | None, failure: type[TbotError]
) -> "ControlReply":
    """The executor's answer; `failure` when it gives none."""
    from tbot.engine.control import ask_once

    reply = ask_once(run.run_dir, verb, account, contract, patience_s=ACK_S)
    if reply is None:
        raise failure(
            f"the engine is there but did not answer within {ACK_S:g} s, so nothing is known to be done; "
            "see tbot status, and use tbot kill if you must be flat"
        )
    if reply.refused == "account":
        raise click.UsageError(reply.text)
    return reply


@dataclass
class Waited:
    """How waiting ended: `reply` is the last answer, None when the engine fell silent."""

    done: bool
    reply: "ControlReply | None"


def await_words(
    run: "Run",
    account: int | None,
    contract: str | None,
    for_s: float,
    enough: Callable[["tuple[AccountWord, ...]"], bool],
    hopeless: Callable[["tuple[AccountWord, ...]"], bool] = lambda _: False,
) -> Waited:
    """Ask until `enough` is said, or nothing more is to be expected."""
    from tbot.engine.control import ask_once

    end = time.monotonic() + for_s
    heard = time.monotonic()
    reply: ControlReply | None = None
    while True:
        answer = ask_once(run.run_dir, "ask", account, contract, patience_s=1.0)
        now = time.monotonic()
        if answer is not None and not answer.refused:
            heard, reply = now, answer
            if enough(answer.accounts):
                return Waited(True, answer)
            if hopeless(answer.accounts):
                return Waited(False, answer)
        elif now - heard > SILENT_S:
            return Waited(False, None)
        if now >= end:
            return Waited(False, reply)
        time.sleep(LOOK_S)


class Report:
    """What the person is told: sentences as they come, or one document at the end."""

    def __init__(self, command: str, json_output: bool = False) -> None:
        self.command = command
        self.json_output = json_output
        self.flat: bool | None = None  # None: nobody asked for it
        self.text = ""
        self.refused = False
        self.runs: dict[Path, dict[str, Any]] = {}  # by run directory: two may be of one mode
        self.lock_files: list[str] = []
        self.panics: list[dict[str, Any]] = []
        self._said: dict[tuple[Path, int], str] = {}

    def say(self, sentence: str) -> None:
        say(sentence, err=self.json_output)

    def reply(self, run: "Run", reply: "ControlReply | None") -> None:
        """One answer of an executor, in words; what was said already is not repeated."""
        if reply is None:
            return
        self.refused = self.refused or bool(reply.refused) or any(not word.taken for word in reply.accounts)
        accounts = []
        for word in reply.accounts:
            stands = f"{word.state}, {f'open: {word.still_open}' if word.still_open else 'nothing open'}"
            sentence = f"account {word.account} {word.name}".rstrip() + f": {word.said or stands}"
            if word.said and not word.taken:
                sentence = f"account {word.account} {word.name}".rstrip() + f": {self.command} refused: {word.said}"
            if self._said.get((run.run_dir, word.account)) != sentence:
                self.say(f"{run.name}, {sentence}")
            self._said[run.run_dir, word.account] = sentence
            accounts.append({name: getattr(word, name) for name in word.__slots__})
        if reply.refused and not reply.accounts:
            self.say(f"{run.name}: {self.command} refused: {reply.text}")
        self.runs.pop(run.run_dir, None)  # the last to answer stands last
        document = {"mode": run.mode, "refused": reply.refused, "text": reply.text, "accounts": accounts}
        self.runs[run.run_dir] = document

    def conclude(self) -> int:
        """Last words and exit code: the worst that was found anywhere."""
        # Of several engines one refuses a kill for an account that another one has: what counts is that it is flat.
        code = Halted.exit_code if self.refused and not self.flat else 0
        if self.flat is False:
            code = EXIT_NOT_FLAT
        if self.json_output:
            document = {
                "schema": "tbot.operate", "version": 1, "command": self.command, "exit_code": code, "flat": self.flat,
                "text": self.text, "runs": [*self.runs.values()], "lock_files": self.lock_files, "panic": self.panics,
            }  # fmt: skip
            say(json.dumps(document))
        elif code == 0 and self.flat:
            self.say("flat: proven by the broker's own lists" if not self.text else self.text)
        if code == EXIT_NOT_FLAT:
            why = self.text or "it could not be proven"
            say(f"tbot: NOT PROVEN FLAT: {why}; look at the account on the platform NOW", err=True)
        return code


@dataclass
class Kill:
    """The kill switch over every engine that runs, and without any."""

    account: int | None
    for_s: float
    wait: bool
    gateway: str | None
    config_path: Path | None
    credentials_file: Path | None
    report: Report = field(default_factory=lambda: Report("kill"))
    since_boot_ns: int = 0  # when the lock files were begun
    several: bool = False  # runs are taken care of: each gets a sentence of its own
    ends: list[tuple[bool, str]] = field(default_factory=list)  # of each run: flat?, in words
    strangers: list[str] = field(default_factory=list)  # of engines that do not trade the account: which they do
    _known_login: Any = None
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def everywhere(self, mode: str | None) -> None:
        """Every run that may hold something: a live one that died, whom nobody watches, first; live before demo.

        Of several each has a thread of its own: every engine must hear of the kill at once, and one that hangs or is
        slow to get flat must not cost the others their ten seconds (I10).
        """
        from tbot.commands.runs import MODES, known_runs

        known = [run for run in known_runs() if mode in (None, run.mode)]
        living = sorted((run for run in known if run.alive()), key=lambda run: (*MODES, run.mode).index(run.mode))
        if not living:
            self.without_engine(mode)
            return
        dead = [run for run in known if run.at_broker and not run.embedded and run not in living]
        left = [run for run in dead if run.mode == "live" and run.may_trade(self.account)]
        self.several = len(living) + len(left) > 1
        if left:
            self._lock(None, "live")
        for run in left:
            self.report.say(f"{run.name}: it is gone and may have left something open: closing over REST")
        if self.several:
            work = [(self._without, run) for run in left] + [(self.press, run) for run in living]
            threads = [threading.Thread(target=self._beside, args=todo, daemon=True) for todo in work]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            self.press(living[0])
        for run in dead:
            if run.mode != "live":
                words = "ended, and is not looked at: a simulator holds nobody's money; tbot kill --mode sim does it"
                self.report.say(f"{run.name} at {run.gateway}: it {words}")

    def press(self, run: "Run") -> None:
        """One engine: ask it; when it does not acknowledge or does not get there, do it without it."""
        from tbot.engine.control import ask_once

        out = run.executor_is_out()  # then every moment of waiting is lost
        reply = None if out else ask_once(run.run_dir, "kill", self.account, patience_s=KILL_ACK_S)
        if reply is not None and reply.refused == "account":  # any other refusal, an expired one say, left it undone
            self.strangers.append(reply.text)
            return
        if reply is not None and not reply.refused:
            self.report.reply(run, reply)
            if not self.wait:
                return
            waited = await_words(
                run, self.account, None, self.for_s,
                lambda words: all(word.clear for word in words),
                # the engine is through, and something is left that it does not trade
                lambda words: all(word.flat for word in words) and not all(word.clear for word in words),
            )  # fmt: skip
            self.report.reply(run, waited.reply)
            if waited.done:
                self._found(run, True)
                return
            through = waited.reply is not None and all(word.flat for word in waited.reply.accounts)
            there = "something is left that it does not trade" if through else "it is not flat in time"
            why = there if waited.reply else "it went away"
        elif out:
            why = "its executor is gone"
        else:
            why = "it did not answer"
            if reply is not None:
                why = "it is still starting" if reply.refused == "starting" else f"it refused ({reply.text})"
        self._lock(run)
        self.report.say(f"{run.name}: {why}: closing over REST without it")
        self._without(run)

    def without_engine(self, mode: str | None) -> None:
        """No engine runs (of this mode): lock every mode (or this one), close at the gateway named or used last."""
        from tbot.commands import panic as exit_command
        from tbot.commands.runs import BADGES, known_runs

        locked = self._lock(None, mode)
        what = f"no {BADGES[mode]} engine runs; it" if mode else "no engine runs; T-BOT"
        self.report.say(f"{what} is {'' if locked else 'NOT '}locked until the next trading day")
        known = [run for run in known_runs() if mode in (None, run.mode)]
        last = exit_command.last_at_broker(known)
        self._without(last)
        for other in known:
            if other.at_broker and not other.embedded and last is not None and other.gateway != last.gateway:
                words = f"is not looked at: tbot kill --mode {other.mode} does it"
                self.report.say(f"{other.name} at {other.gateway}: it {words}")

    def _lock(self, run: "Run | None", mode: str | None = None) -> bool:
        """Write the lock files; False when none could be written."""
        from tbot.commands.runs import lock_files
        from tbot.engine.clocks import boot_ns

        self.since_boot_ns = self.since_boot_ns or boot_ns()
        written, problems = lock_files(run, self.account, "tbot kill", mode)
        self.report.lock_files += written
        for problem in problems:
            self.report.say(f"a lock file could not be written, going on: {problem}")
        return bool(written)

    def _found(self, run: "Run | None", flat: bool, text: str = "") -> None:
        """What became of one run. Flat is what every one is; of several each is told by itself."""
        if self.several and run is not None:
            self.report.say(f"{run.name}: {text or 'proven flat'}" if flat else f"{run.name}: NOT PROVEN FLAT: {text}")
            text = "" if flat else f"{run.name}: {text}"
        self.ends.append((flat, text))

    def settle(self) -> None:
        """Put what became of all runs together."""
        if not self.ends:
            return
        open_ones = [text for flat, text in self.ends if not flat]
        self.report.flat = not open_ones
        self.report.text = "; ".join(open_ones or [text for _, text in self.ends if text])

    def _beside(self, close: Callable[["Run"], None], run: "Run") -> None:
        """One run in a thread of its own: whatever goes wrong in it, its run is not proven flat."""
        try:
            close(run)
        except Exception as error:
            self._found(run, False, f"the attempt failed: {type(error).__name__}")
            raise

    def _without(self, run: "Run | None") -> None:
        """Close at the broker, by our own login or, where only the launcher has one, by its emergency exit."""
        from tbot.commands import panic as exit_command

        hints = exit_command.read_hints(self.config_path)
        if hints.trouble:
            self.report.say(hints.trouble)
        named = self.gateway or ("" if hints.found else hints.gateway)
        if run is not None and not named and not run.at_broker:
            self._found(run, True, exit_command.nothing_at_a_broker(run))
            return
        alive = run is not None and run.alive()
        try:
            url = exit_command.address(named, run, hints.gateway)
            login = None if alive and run is not None and run.embedded else self._login(hints, alive)
        except (AuthError, ConfigError) as error:
            if self.several and run is not None and not alive and run.ended_flat():
                self.report.say(f"{run.name}: it ended flat by its own last words; not looked at now: {error}")
                return
            self._found(run, False, str(error))
            return
        if login is None:
            assert run is not None
            self._await_launcher(run)
            return
        self.report.say(f"closing everything at {url}")
        accounts = (self.account,) if self.account is not None else tuple(run.accounts() if run is not None else ())
        result = exit_command.carry_out(url, login, accounts, self.for_s, self.report.say)
        self.report.panics.append(result.document())
        self._found(run, result.flat, result.text)

    def _login(self, hints: Any, alive: bool) -> Any:
        """Our own login; None when the living engine's launcher has to do it, which has one."""
        from tbot.commands import panic as exit_command

        with self._asking:  # found once for all runs: the environment is emptied of it when it is read
            try:
                self._known_login = self._known_login or exit_command.find_login(self.credentials_file, hints)
            except AuthError:
                if alive:
                    return None
                raise
            return self._known_login

    def _await_launcher(self, run: "Run") -> None:
        """The launcher saw the lock file and acts; wait for its word, or for the executor's."""
        from tbot.engine.control import ask_once

        self.report.say("no login here: the engine's launcher closes everything by its own")
        end = time.monotonic() + self.for_s
        while time.monotonic() < end:
            if self._closed_by_launcher(run):
                self._found(run, True, "flat: proven by the launcher's emergency exit")
                return
            reply = ask_once(run.run_dir, "ask", self.account, patience_s=0.5)
            if reply is not None and not reply.refused and all(word.clear for word in reply.accounts):
                self.report.reply(run, reply)
                self._found(run, True)
                return
            time.sleep(LOOK_S)
        self._found(run, False, "neither executor nor launcher proved it, and there is no login here for tbot panic")

    def _closed_by_launcher(self, run: "Run") -> bool:
        """Whether an emergency exit that began after the switch was pressed proved every account flat."""
        status = run.status()
        began, closes = status.get("last_resort_began_boot_ns", 0), status.get("last_resort_closes", [])
        wanted = [self.account] if self.account is not None else run.accounts()
        whole = not closes or set(wanted) <= set(closes)
        return bool(status.get("last_resort") == "flat" and began >= self.since_boot_ns and whole)
