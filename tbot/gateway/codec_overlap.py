"""What a change of connections must know of a market-hub event: its topic (event and contract) and its time."""

from collections.abc import Iterable

import msgspec

from tbot.gateway.codec_market import QUOTE_TARGET, TRADE_TARGET, UNSUBSCRIBE_DEPTH
from tbot.gateway.codec_values import parse_time
from tbot.gateway.signalr import Invocation

Topic = tuple[str, str]  # event name, gateway contract id


class _Quote(msgspec.Struct, gc=False, rename="camel"):
    last_updated: str | None = None
    timestamp: str | None = None


class _Print(msgspec.Struct, gc=False):
    timestamp: str


_decode_quote = msgspec.json.Decoder(tuple[str, _Quote]).decode
_decode_prints = msgspec.json.Decoder(tuple[str, list[_Print] | _Print]).decode


def topics(broker_ids: Iterable[str]) -> list[Topic]:
    """The topics that `market_subscriptions` of these contracts lead to."""
    return [(target, broker_id) for broker_id in broker_ids for target in (QUOTE_TARGET, TRADE_TARGET)]


def topic_and_time(event: Invocation) -> tuple[Topic, int] | None:
    """(topic, newest time in it, UTC ns); None for other events and for what cannot be read."""
    try:
        if event.target == QUOTE_TARGET:
            broker_id, quote = _decode_quote(event.arguments)
            return (QUOTE_TARGET, broker_id), parse_time(quote.last_updated or quote.timestamp or "")
        if event.target == TRADE_TARGET:
            broker_id, prints = _decode_prints(event.arguments)
            rows = prints if isinstance(prints, list) else [prints]
            return (TRADE_TARGET, broker_id), max(parse_time(row.timestamp) for row in rows)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    return None


def idempotent(topic: Topic) -> bool:
    """Whether repeats do no harm and the gateway may begin with a snapshot: quotes, not trades."""
    return topic[0] == QUOTE_TARGET


def barrier(broker_id: str) -> tuple[str, list[object]]:
    """An invocation that changes nothing (we never subscribe depth): what was sent before its answer has arrived."""
    return UNSUBSCRIBE_DEPTH, [broker_id]
