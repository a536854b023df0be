"""`python -m tbot.panic`: the supervisor's last resort. What to do comes as one JSON document on stdin, by pipe.

{"gateway": URL, "user_name": …, "api_key": …, "accounts": [ids], "for_s": seconds}. One sentence a line goes to stdout;
exit code 0 when proven flat, else 11. A person uses `tbot panic`.
"""

import json
import sys

EXIT_NOT_FLAT = 11


def main() -> int:
    """Read the order, carry it out, tell how it went."""
    from tbot.panic.program import panic

    order = json.load(sys.stdin)
    result = panic(
        order["gateway"],
        (order["user_name"], order["api_key"]),
        order["accounts"],
        order["for_s"],
        lambda sentence: print(sentence, flush=True),  # noqa: T201
    )
    if result.text:
        print(result.text, flush=True)  # noqa: T201
    return 0 if result.flat else EXIT_NOT_FLAT


if __name__ == "__main__":
    sys.exit(main())
