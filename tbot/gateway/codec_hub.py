"""User hub: subscriptions, events to values, values to events.

The documentation shows the bare object, the wire carries `{"action": n, "data": {...}}`: both are read.
"""

from collections.abc import Callable, Iterable

import msgspec

from tbot.gateway import signalr
from tbot.gateway.codec_models import (
    BAD_JSON,
    BrokerAccount,
    BrokerOrder,
    BrokerPosition,
    BrokerTrade,
    Members,
    account_members,
    decode_account,
    decode_order,
    decode_position,
    decode_trade,
    order_members,
    position_members,
    trade_members,
)
from tbot.gateway.codec_tables import UserAction
from tbot.gateway.codec_values import has_duplicate_keys

ACCOUNT_TARGET = "GatewayUserAccount"
ORDER_TARGET = "GatewayUserOrder"
POSITION_TARGET = "GatewayUserPosition"
TRADE_TARGET = "GatewayUserTrade"

SUBSCRIBE_ACCOUNTS = "SubscribeAccounts"
SUBSCRIBE_ORDERS = "SubscribeOrders"
SUBSCRIBE_POSITIONS = "SubscribePositions"
SUBSCRIBE_TRADES = "SubscribeTrades"

MAX_EVENT_BYTES = 64 * 1024  # a user event is below 1 KB; what is far above it is not looked at

UserRecord = BrokerAccount | BrokerOrder | BrokerPosition | BrokerTrade

_DECODERS: dict[str, Callable[[bytes], UserRecord]] = {
    ACCOUNT_TARGET: decode_account,
    ORDER_TARGET: decode_order,
    POSITION_TARGET: decode_position,
    TRADE_TARGET: decode_trade,
}


class _Wrapped(msgspec.Struct, gc=False):
    action: int | None = None
    data: msgspec.Raw = msgspec.Raw()


_decode_pieces = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_wrapped = msgspec.json.Decoder(_Wrapped).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def is_user_target(target: str) -> bool:
    """Whether `decode_user` knows this event."""
    return target in _DECODERS


def decode_user(event: signalr.Invocation) -> UserRecord:
    """The record of one user-hub event; ValueError when it is not valid, KeyError when the target is another one."""
    decode = _DECODERS[event.target]
    if len(event.arguments) > MAX_EVENT_BYTES:
        raise ValueError(f"an event of {len(event.arguments)} bytes")
    if has_duplicate_keys(event.arguments):
        raise ValueError("an event with a member that stands there twice")
    try:
        pieces = _decode_pieces(event.arguments)
        if len(pieces) != 1:
            raise ValueError(f"an event with {len(pieces)} arguments")
        wrapped = _decode_wrapped(pieces[0])
    except BAD_JSON as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    return decode(bytes(wrapped.data) or bytes(pieces[0]))


def user_subscriptions(account_ids: Iterable[int]) -> list[tuple[str, list[object]]]:
    """The invocations (target, arguments) that subscribe everything of these accounts."""
    per_account = (SUBSCRIBE_ORDERS, SUBSCRIBE_POSITIONS, SUBSCRIBE_TRADES)
    first: list[tuple[str, list[object]]] = [(SUBSCRIBE_ACCOUNTS, [])]
    return first + [(target, [account_id]) for account_id in account_ids for target in per_account]


def user_event(
    record: UserRecord, action: UserAction | None = None, *, bare: bool = False, text_ids: bool = False
) -> bytes:
    """A user-hub event for `record`, as the simulator sends it.

    `action` defaults to what captures show (trade added, closed position removed, else updated). `bare` leaves the
    envelope out, `text_ids` writes ids as text: both are shapes that clients have met.
    """
    target, members, usual = _event_parts(record)
    if text_ids:
        members = {name: str(value) if name in ("id", "orderId") else value for name, value in members.items()}
    payload = members if bare else {"action": int(usual if action is None else action), "data": members}
    return signalr.encode_invocation(target, _encode([payload]))


def _event_parts(record: UserRecord) -> tuple[str, Members, UserAction]:
    if isinstance(record, BrokerOrder):
        return ORDER_TARGET, order_members(record, hub=True), UserAction.UPDATED
    if isinstance(record, BrokerTrade):
        return TRADE_TARGET, trade_members(record, hub=True), UserAction.ADDED
    if isinstance(record, BrokerPosition):
        action = UserAction.UPDATED if record.size else UserAction.REMOVED
        return POSITION_TARGET, position_members(record, hub=True), action
    return ACCOUNT_TARGET, account_members(record, hub=True), UserAction.UPDATED
