"""REST bodies: requests (one struct for both directions), answers to values, values to answers.

The client encodes a request struct and decodes the answer strictly; the simulator decodes requests leniently, as the
gateway's framework does (member names in any case, numeric text), and encodes answers.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from tbot.domain.messages import Outcome
from tbot.gateway.codec_models import (
    BAD_JSON,
    BrokerAccount,
    BrokerBar,
    BrokerContract,
    BrokerOrder,
    BrokerPosition,
    BrokerTrade,
    Members,
    account_members,
    bar_members,
    contract_members,
    decode_account,
    decode_bar,
    decode_contract,
    decode_order,
    decode_position,
    decode_trade,
    order_members,
    position_members,
    trade_members,
)
from tbot.gateway.codec_tables import Call
from tbot.gateway.codec_values import INT64_MAX, has_duplicate_keys, identity, number, too_dense
from tbot.gateway.outcomes import Situation, classify, outcome_of, situation_of

_encode = msgspec.json.Encoder(decimal_format="number").encode
T = TypeVar("T")
R = TypeVar("R", bound="Request")
DUPLICATE_CHECK_BYTES = 128 * 1024  # the check is slow; longer answers are lists, and no list moves money


class Request(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """A request body. Times are ISO text, prices decimals; a member left out keeps its default."""


class Bracket(Request):
    """One leg: signed ticks from the entry's fill price, and its order type."""

    ticks: int
    type: int


class _SecretRequest(Request):
    """A body that must not show in any text."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


class LoginKeyRequest(_SecretRequest):
    user_name: str
    api_key: str


class LoginAppRequest(_SecretRequest):
    user_name: str
    password: str
    device_id: str
    app_id: str
    verify_key: str


class AccountSearchRequest(Request):
    only_active_accounts: bool


class ContractSearchRequest(Request):
    live: bool
    search_text: str | None = None


class ContractByIdRequest(Request):
    contract_id: str


class ContractAvailableRequest(Request):
    live: bool


class RetrieveBarsRequest(Request):
    contract_id: str
    live: bool
    start_time: str
    end_time: str
    unit: int
    unit_number: int
    limit: int
    include_partial_bar: bool


class OrderPlaceRequest(Request):
    account_id: int
    contract_id: str
    type: int
    side: int  # 0 buy, 1 sell
    size: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    custom_tag: str | None = None
    stop_loss_bracket: Bracket | None = None
    take_profit_bracket: Bracket | None = None


class OrderModifyRequest(Request):
    account_id: int
    order_id: int
    size: int | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None


class OrderIdRequest(Request):
    """Order/cancel and Order/searchById."""

    account_id: int
    order_id: int


class OrderSearchRequest(Request):
    account_id: int
    start_timestamp: str
    end_timestamp: str | None = None


class AccountIdRequest(Request):
    """Order/searchOpen and Position/searchOpen."""

    account_id: int


class OrderFilter(Request):
    account_id: int
    statuses: list[int] | None = None
    contract_id: str | None = None
    created_after: str | None = None
    created_before: str | None = None


class OrderQueryRequest(Request):
    filter: OrderFilter
    page_size: int | None = None
    page_offset: int | None = None
    sort_by: int | None = None  # 0 created, 1 id
    sort_direction: int | None = None  # 0 ascending, 1 descending
    include_total_count: bool | None = None


class CloseContractRequest(Request):
    account_id: int
    contract_id: str


class PartialCloseRequest(Request):
    account_id: int
    contract_id: str
    size: int


class TradeSearchRequest(Request):
    account_id: int
    start_timestamp: str | None = None
    end_timestamp: str | None = None


def encode_request(request: Request | None) -> bytes:
    """Body of a request; empty for endpoints without one."""
    return b"" if request is None else _encode(request)


class BadRequest(ValueError):
    """A request body that the gateway answers with HTTP 400; the text says which member is wrong."""


def decode_request(shape: type[R], body: bytes) -> R:
    """The simulator's reading of a request; BadRequest when it is not readable or a required member is missing.

    Numbers beyond the gateway's types (64 bits, its decimal) are refused like everything else that does not fit.
    """
    try:
        document = json.loads(body or b"{}", parse_float=Decimal, parse_int=_integer, parse_constant=_refuse_constant)
        request = msgspec.convert(_rename(document, shape), shape, strict=False)
        for name in shape.__struct_fields__:
            value = getattr(request, name)
            if isinstance(value, Decimal):
                number(value)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise BadRequest(str(error)) from None
    return request


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _integer(text: str) -> int:
    value = int(text) if len(text) <= 20 else INT64_MAX + 1
    if not -INT64_MAX <= value <= INT64_MAX:
        raise ValueError(f"{text[:30]} does not fit into 64 bits")
    return value


def _rename(document: Any, shape: type[Request]) -> Any:
    """Member names to the documented case (the framework compares them without case)."""
    if not isinstance(document, dict):
        return document
    names = {name.lower(): name for name in shape.__struct_encode_fields__}
    renamed = {names.get(name.lower(), name): value for name, value in document.items()}
    for name, inner in _nested(shape):
        if name in renamed:
            renamed[name] = _rename(renamed[name], inner)
    return renamed


@cache
def _nested(shape: type[Request]) -> list[tuple[str, type[Request]]]:
    """Members of a request that are objects themselves, and their shapes."""
    return [
        (info.encode_name, inner)
        for info in msgspec.structs.fields(shape)
        for inner in getattr(info.type, "__args__", (info.type,))
        if isinstance(inner, type) and issubclass(inner, Request)
    ]


# ------------------------------------------------------------------------------------------------------- answers
@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What is known after a call. `value` is there only for an accepted call; it may be a token, so repr hides it.

    `order_id` may be set although the order was refused (the refused order is on record).
    """

    outcome: Outcome
    value: T | None = field(default=None, repr=False)
    code: int | None = None  # the endpoint's error code, None when no envelope was read
    text: str = ""
    status: int | None = None  # HTTP
    order_id: int | None = None
    total: int | None = None  # totalCount of a paged query
    retry_after_s: float | None = None
    dropped: int = 0  # list items that were not valid (bars only; elsewhere one bad item spoils the answer)

    @property
    def ok(self) -> bool:
        return self.outcome == "accepted"

    @property
    def situation(self) -> Situation:
        """The column of the outcome table that this answer stands in."""
        return situation_of(self.outcome, self.status, self.text)


class _Envelope(msgspec.Struct, gc=False, rename="camel"):
    success: bool
    error_code: int
    error_message: str | None = None
    token: msgspec.Raw = msgspec.Raw()
    new_token: msgspec.Raw = msgspec.Raw()
    accounts: msgspec.Raw = msgspec.Raw()
    contracts: msgspec.Raw = msgspec.Raw()
    contract: msgspec.Raw = msgspec.Raw()
    bars: msgspec.Raw = msgspec.Raw()
    orders: msgspec.Raw = msgspec.Raw()
    order: msgspec.Raw = msgspec.Raw()
    order_id: msgspec.Raw = msgspec.Raw()
    positions: msgspec.Raw = msgspec.Raw()
    trades: msgspec.Raw = msgspec.Raw()
    total_count: int | None = None


_FIELDS = dict(zip(_Envelope.__struct_encode_fields__, _Envelope.__struct_fields__, strict=True))
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_pieces = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_id = msgspec.json.Decoder(int | str).decode


def decode_answer(call: Call, body: bytes) -> Answer[Any]:
    """An HTTP 200 body to its outcome and value. Never raises: what can't be read proves nothing (ambiguous).

    Values: a list of Broker records, one Broker record, the token, or the order id, by `call.payload`.
    """
    try:
        if len(body) <= DUPLICATE_CHECK_BYTES and has_duplicate_keys(body):
            raise ValueError("a member stands there twice")
        envelope = _decode_envelope(body)
        raw = bytes(getattr(envelope, _FIELDS[call.payload])) if call.payload else b""
        has_payload = not call.payload or raw not in (b"", b"null")
        code, text = envelope.error_code, envelope.error_message or ""
        outcome = outcome_of(call, classify(call, envelope.success, code, text, has_payload))
        order_id = identity(_decode_id(raw)) if call.payload == "orderId" and has_payload else None
        value, dropped = _payload(call.payload, raw) if outcome == "accepted" else (None, 0)
    except (*BAD_JSON, ValueError) as error:
        return Answer("ambiguous", text=f"the answer of {call.path} is not valid: {_brief(error)}", status=200)
    if outcome != "accepted":
        text = f"{call.code_name(code)} ({code}){': ' if text else ''}{text}"
    return Answer(outcome, value, code, text, 200, order_id, envelope.total_count, None, dropped)


def _brief(error: Exception) -> str:
    """The kind of fault without the content, which may hold a token."""
    return str(error)[:120] if isinstance(error, msgspec.ValidationError) else type(error).__name__


_LISTS: dict[str, Callable[[bytes], Any]] = {
    "accounts": decode_account,
    "contracts": decode_contract,
    "orders": decode_order,
    "positions": decode_position,
    "trades": decode_trade,
}


def _payload(name: str, raw: bytes) -> tuple[Any, int]:
    if name in _LISTS:
        return [_LISTS[name](bytes(piece)) for piece in _pieces(raw)], 0
    if name == "bars":
        return _bars(raw)
    if name == "contract":
        return decode_contract(raw), 0
    if name == "order":
        return decode_order(raw), 0
    if name in ("token", "newToken"):
        return _decode_text(raw), 0
    if name == "orderId":
        return identity(_decode_id(raw)), 0
    return None, 0


def _pieces(raw: bytes) -> list[msgspec.Raw]:
    """The items of a list, undecoded."""
    if too_dense(raw):
        raise ValueError("a list whose items are too short for records")
    return _decode_pieces(raw)


def _bars(raw: bytes) -> tuple[list[BrokerBar], int]:
    """Bars oldest first, one per start; a bar that is none is left out and counted (a hole is better than a lie)."""
    bars: dict[int, BrokerBar] = {}
    dropped = 0
    for piece in _pieces(raw):
        try:
            bar = decode_bar(bytes(piece))
        except ValueError:
            dropped += 1
            continue
        dropped += bar.start_ns in bars
        bars.setdefault(bar.start_ns, bar)
    return [bars[start] for start in sorted(bars)], dropped


# ---------------------------------------------------------------------------------------------- the simulator's side
_MEMBERS: dict[type, Callable[[Any], Members]] = {
    BrokerAccount: account_members,
    BrokerContract: contract_members,
    BrokerOrder: order_members,
    BrokerPosition: position_members,
    BrokerTrade: trade_members,
    BrokerBar: bar_members,
}


def encode_answer(
    call: Call, payload: object = None, *, code: int = 0, message: str | None = None, total: int | None = None
) -> bytes:
    """A 200 body: `payload` is a record, a list of records, a token or an order id; `code` other than 0 = refused.

    `total` is written (null when None) only for the paged order query.
    """
    members: Members = {}
    if call.payload:
        members[call.payload] = _to_members(payload)
    if call.path.endswith("/v2/query"):
        members["totalCount"] = total
    members |= {"success": code == 0, "errorCode": code, "errorMessage": message}
    return _encode(members)


def _to_members(payload: object) -> object:
    if isinstance(payload, list | tuple):
        return [_to_members(item) for item in payload]
    convert = _MEMBERS.get(type(payload))
    return payload if convert is None else convert(payload)


def encode_problem(
    status: int, title: str, errors: dict[str, list[str]] | None = None, trace_id: str | None = None
) -> bytes:
    """An RFC 7807 body as the framework writes it for HTTP 400."""
    body: Members = {"type": "https://tools.ietf.org/html/rfc9110#section-15.5.1", "title": title, "status": status}
    if errors:
        body["errors"] = errors
    if trace_id is not None:
        body["traceId"] = trace_id
    return _encode(body)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The simulator's clock: market time and speed at one boot-clock instant of this machine.

    Speed 0 = as fast as it goes: market time is no function of the boot clock then.
    """

    market_ns: int
    speed: float
    boot_ns: int
    started: bool = True
    ended: bool = False


def encode_clock(reading: ClockReading) -> bytes:
    """Body of GET /sim/clock."""
    return _encode(reading)


_decode_clock = msgspec.json.Decoder(ClockReading).decode


def decode_clock(body: bytes) -> ClockReading:
    """ValueError when it is not a clock or its figures make no sense."""
    try:
        reading = _decode_clock(body)
    except BAD_JSON as error:
        raise ValueError(f"not a clock reading: {type(error).__name__}") from None
    if not reading.speed >= 0 or reading.market_ns <= 0:
        raise ValueError(f"clock reading {reading} makes no sense")
    return reading
