"""`python -m tbot.panic`: the supervisor's last resort. What to do comes as one JSON document on stdin, by pipe.

{"gateway": URL, "user_name": …, "api_key": …, "accounts": [ids], "for_s": seconds}. One sentence a line goes to stdout;
exit code 0 when proven flat, else 11, whatever becomes of the streams. A person uses `tbot panic`.
"""

import json
import sys

from tbot.streams import forgiving, prepare

EXIT_NOT_FLAT = 11


def main() -> int:
    """Read the order, carry it out, tell how it went."""
    prepare()
    sys.stdout = forgiving(sys.stdout, sys.__stdout__)  # the exit code tells what counts
    from tbot.errors import TbotError
    from tbot.panic.program import panic

    try:
        order = json.load(sys.stdin)
        login = order["user_name"], order["api_key"]
        gateway, accounts, for_s = order["gateway"], order["accounts"], order["for_s"]
    except (OSError, ValueError, LookupError, TypeError):  # without its text: that would show a part of the login
        _tell("the order on stdin is not understood; a person uses tbot panic")
        return EXIT_NOT_FLAT
    try:
        result = panic(gateway, login, accounts, for_s, _tell)
    except TbotError as error:
        _tell(str(error))
        return EXIT_NOT_FLAT
    if result.text:
        _tell(result.text)
    return 0 if result.flat else EXIT_NOT_FLAT


def _tell(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
