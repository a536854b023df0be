"""The outside facts that a contract's stream has told so far, decoded from what its pipeline keeps of them."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from tbot.domain.context import (
    NO_CONTEXT,
    ContextKey,
    ContextRecord,
    DollarState,
    MarketContext,
    NewsState,
    context_at,
)
from tbot.domain.timeframes import NS_PER_MIN
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import TICK_DTYPE, Kind

MAX_AGE_NS = 5 * NS_PER_MIN  # of the index, which is told every minute: older, and whoever makes it has died
_FIELDS = ("side", "price", "price2", "size", "volume", "flags")


def facts_of(pipeline: ContractPipeline) -> MarketContext:
    """As they are where the pipeline stopped."""
    if not pipeline.context_records:
        return NO_CONTEXT
    dollar, news = _decoded(pipeline.context.tobytes())
    return context_at(pipeline.now_ns, dollar, news, MAX_AGE_NS)


@lru_cache(maxsize=64)  # they change once a minute, and are asked for at every event
def _decoded(memory: bytes) -> tuple[DollarState | None, tuple[NewsState, ...]]:
    rows = np.frombuffer(memory, TICK_DTYPE)
    return states({int(row["aux"]): record_of(row) for row in rows[rows["kind"] == Kind.CONTEXT]})


def states(told: Mapping[int, ContextRecord]) -> tuple[DollarState | None, tuple[NewsState, ...]]:
    """What the newest records mean, by their keys."""
    dollar = told.get(ContextKey.DOLLAR)
    news = (told.get(ContextKey.NEWS_EVEN), told.get(ContextKey.NEWS_ODD))
    return (
        None if dollar is None else DollarState.of(dollar),
        tuple(_news(record) for record in news if record is not None),
    )


def record_of(row: np.void) -> ContextRecord:
    """A CONTEXT record without its times and its contract."""
    return ContextRecord(int(row["aux"]), *(int(row[name]) for name in _FIELDS))


def _news(record: ContextRecord) -> NewsState:
    """What this version cannot read is news that nobody knows."""
    try:
        return NewsState.of(record)
    except ValueError:
        return NewsState(record.price, record.price2, stale=True)
