"""The few errors of T-BOT, told apart by whose fault they are.

Expected outcomes are values (a Denial, a lap count, a refused order), never exceptions. Every message is one clear
sentence with what happened, why, and the next step; `exit_code` is what a command ends with.
"""

import errno

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, and its like
INTERRUPTED = 130  # exit code after Ctrl-C of a command that was not over


class TbotError(Exception):
    """Root of all errors raised on purpose; `exit_code` follows the table of the command line."""

    exit_code = 1


class ConfigError(TbotError):
    """A setting is missing, unknown or out of range."""

    exit_code = 3


class MissingExtra(ConfigError):
    """What is asked for needs a package that is not installed, and comes with an extra."""


def missing_extra(what: str, package: str, extra: str) -> MissingExtra:
    """What to raise where the `package` of an `extra` is not there; `what`: "a picture", "reading x.parquet"."""
    return MissingExtra(f"{what} needs {package}, which is not installed; pip install 'tbot[{extra}]'")


class LayoutError(TbotError):
    """Shared memory or a file does not have the layout this build expects."""

    exit_code = 9


class DataError(TbotError):
    """Input data is missing, damaged or not usable."""

    exit_code = 9


def unwritable(place: str, error: OSError) -> DataError:
    """What to raise when a result cannot be written to `place`, "the folder NAME" say."""
    return DataError(f"{place} cannot be written ({error.strerror}); make room or name another one")


class ProtocolError(TbotError):
    """A peer, or our own code, broke a wire protocol."""

    exit_code = 5


class JournalError(TbotError):
    """The journal cannot be opened or written: no entries; protective actions go on."""


class JournalDamaged(JournalError):
    """The journal is not what it was: put it aside, begin anew, and take the state from the broker."""

    exit_code = 9


class GatewayError(TbotError):
    """The gateway could not be reached or answered with a failure."""

    exit_code = 5


class AuthError(GatewayError):
    """Credentials are missing or were refused."""

    exit_code = 4


class Halted(TbotError):
    """The engine refused to go on because going on would not be safe."""

    exit_code = 6
