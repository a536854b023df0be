"""Order tags: `TB1-<run start, UTC ms, base 32>-<intent sequence>-<role>` (failure-model.md section 1).

The broker never releases a tag, so it must stay unique even when all our files are lost: the run start is in it. Roles:
E entry, S stop that a position lacked, T take-profit that it lacked, X market order that gets out where the broker
refuses to close the contract. The broker appends -SL and -TP to the tag of an entry for its bracket legs.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

FAMILY = "TB1"
MAX_LENGTH = 32
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"

LegRole = Literal["", "SL", "TP"]
_LEGS: dict[str, LegRole] = {"SL": "SL", "TP": "TP"}
Role = Literal["E", "S", "T", "X"]
Part = Literal["entry", "stop", "target", "exit"]
_PARTS: dict[str, Part] = {"SL": "stop", "TP": "target", "S": "stop", "T": "target", "X": "exit"}


@dataclass(frozen=True, slots=True)
class Tag:
    """The parts of one of our tags."""

    base: str  # the tag without the suffix of a bracket leg
    run_start_ms: int
    sequence: int
    role: str  # E, S, T or X
    leg: LegRole = ""  # "" for the order itself

    @property
    def part(self) -> Part:
        """What the order is for. A role that nobody knows counts as an entry: the part that may do most harm."""
        return _PARTS.get(self.leg or self.role, "entry")


def base32(number: int) -> str:
    """Digits 0-9A-V of a non-negative number."""
    text = ""
    while True:
        number, digit = divmod(number, 32)
        text = _DIGITS[digit] + text
        if number == 0:
            return text


def order_tag(run_start_ms: int, sequence: int, role: Role) -> str:
    """Tag of the placement number `sequence` of a run."""
    text = f"{FAMILY}-{base32(run_start_ms)}-{sequence}-{role}"
    assert len(text) + len("-SL") <= MAX_LENGTH, f"tag {text} leaves no room for the suffix of its legs"
    return text


def entry_tag(run_start_ms: int, sequence: int) -> str:
    """Tag of an entry."""
    return order_tag(run_start_ms, sequence, "E")


@lru_cache(maxsize=4096)
def parse_tag(text: str) -> Tag | None:
    """The parts of a tag of our family; None for everything else (foreign orders, no tag)."""
    parts = text.split("-") if len(text) <= MAX_LENGTH else []
    if len(parts) not in (4, 5) or parts[0] != FAMILY or not parts[3]:
        return None
    leg = _LEGS.get(parts[4]) if len(parts) == 5 else ""
    run, sequence = parts[1], parts[2]
    digits = bool(run) and all(digit in _DIGITS for digit in run)
    if leg is None or not digits or not (sequence.isascii() and sequence.isdigit()):
        return None
    return Tag("-".join(parts[:4]), int(run, 32), int(sequence), parts[3], leg)
