"""From the rows of `setup_story.tell` to what a signal keeps of them: Evidence."""

from functools import lru_cache
from typing import Any

from tbot.domain.messages import Evidence
from tbot.strategy.words import PART_NAMES
from tbot_ext.frozen import Maker

_evidence = Maker(Evidence)  # a signal takes a dozen of them


@lru_cache(maxsize=1024)  # what stood near the last signal mostly stands near the next one, too
def of_row(row: tuple[Any, ...]) -> Evidence:
    """A neighbour, a target: without the parts of its score, which nobody asks of it."""
    return _evidence((*row[:-1], {}))


def in_full(row: tuple[Any, ...]) -> Evidence:
    """The zone or a trigger itself: with the parts of its score by name, so far as its kind has any."""
    parts = dict(zip(PART_NAMES.get(row[1], ()), row[-1], strict=False))
    return _evidence((*row[:-1], parts))
