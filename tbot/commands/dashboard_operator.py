"""Pause, resume, flatten and kill from a screen: the way of the commands, their words, their proof."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tbot.commands import operate
from tbot.dashboard.app import Outcome, Say, Verb
from tbot.domain.control_messages import ControlReply
from tbot.errors import TbotError

if TYPE_CHECKING:
    from tbot.commands.runs import Run
    from tbot.domain.control_messages import AccountWord

PROOF_S = 30.0  # how long a proof is waited for, as in the commands


class SpokenReport(operate.Report):
    """A report whose sentences go to the screen."""

    def __init__(self, command: str, say: Say) -> None:
        super().__init__(command)
        self._say = say

    def say(self, sentence: str) -> None:
        self._say(sentence)


class RunOperator:
    """Acts on the run that is shown. `kill` goes on without the engine when that does not answer, as `tbot kill`."""

    def __init__(
        self, run: "Callable[[], Run | None]", config_path: Path | None = None, credentials_file: Path | None = None
    ) -> None:
        self._run = run
        self._config_path = config_path
        self._credentials_file = credentials_file

    def carry_out(self, verb: Verb, account: int | None, say: Say) -> Outcome:
        run = self._run()
        if run is None:
            return Outcome(False, "no engine runs here; nothing was done")
        report = SpokenReport(verb, say)
        try:
            if verb == "kill":
                return self._kill(run, account, report)
            if verb == "flatten":
                return _flatten(run, account, report)
            return _simple(run, verb, account, report)
        except TbotError as error:
            return Outcome(False, str(error))
        except click.ClickException as error:  # an account that the run does not have
            return Outcome(False, error.message)

    def _kill(self, run: "Run", account: int | None, report: SpokenReport) -> Outcome:
        switch = operate.Kill(
            account, PROOF_S, True, None, self._config_path, self._credentials_file, report
        )
        switch.press(run)
        switch.settle()
        if report.flat:
            return Outcome(True, report.text or "flat: proven by the broker's own lists; locked until the next day")
        why = report.text or "it could not be proven"
        return Outcome(False, f"NOT PROVEN FLAT: {why}; look at the account on the platform NOW")


def _simple(run: "Run", verb: Verb, account: int | None, report: SpokenReport) -> Outcome:
    reply = operate.asked(run, verb, account, None, operate.NotDone)
    report.reply(run, reply)
    if report.refused:
        return Outcome(False, f"{verb} was refused; nothing was changed where it says so")
    return Outcome(True, f"{verb}: acknowledged by the engine")


def _flatten(run: "Run", account: int | None, report: SpokenReport) -> Outcome:
    """As `tbot flatten`: done is what the broker's own lists prove."""
    reply = operate.asked(run, "flatten", account, None, operate.NotFlat)
    report.reply(run, reply)
    if reply.refused:
        return Outcome(False, f"flatten was refused: {reply.text}")

    def looked(words: "tuple[AccountWord, ...]") -> bool:
        report.reply(run, ControlReply("", "", "", words))  # how far it is
        return all(word.flat for word in words)

    last = operate.await_words(run, account, None, PROOF_S, looked)
    if not last.done:
        why = "not proven flat in time" if last.reply else "the engine went away before it was proven flat"
        return Outcome(False, f"NOT PROVEN FLAT: {why}; look at the account on the platform NOW")
    held = [word for word in (last.reply.accounts if last.reply else ()) if word.still_open]
    if held:
        words = "; ".join(f"{word.still_open} of account {word.account}" for word in held)
        return Outcome(True, f"flat of what is T-BOT's: proven; left alone, because it is not: {words}")
    return Outcome(True, "flat: proven by the broker's own lists; paused until resume")
