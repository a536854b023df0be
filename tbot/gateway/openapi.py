"""The gateway's REST interface as an OpenAPI document (Swagger 2.0), made from our own tables; `tbot sim` serves it.

Paths and error codes come from `codec_tables`, request members from the structs of `codec_rest`; only what no struct of
ours holds, the models of answers and the gateway's names for things, is written down here. `doctor --online` compares
the result with what the gateway publishes (`openapi_compare`), so that a change on its side is seen before it hurts.
"""

from collections.abc import Iterator
from decimal import Decimal
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin

import msgspec

from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway.codec_tables import Call

Schema = dict[str, Any]

# Members of what answers carry: name, type, `*` when always there. Types: a scalar below, or an enumeration.
MODELS: dict[str, str] = {
    "TradingAccountModel": "id int32*, name string*, balance decimal*, canTrade boolean*, isVisible boolean*, "
    "simulated boolean*",
    "ContractModel": "id string*, name string*, description string*, tickSize decimal*, tickValue decimal*, "
    "activeContract boolean*, symbolId string*",
    "AggregateBarModel": "t date-time*, o decimal*, h decimal*, l decimal*, c decimal*, v int64*, d date, k int64",
    "OrderModel": "id int64*, accountId int32*, contractId string*, symbolId string*, creationTimestamp date-time*, "
    "updateTimestamp date-time, status OrderStatus*, type OrderType*, side OrderSide*, size int32*, "
    "limitPrice decimal, stopPrice decimal, fillVolume int32*, filledPrice decimal, customTag string, "
    "trailDistance int32, trailPrice decimal, parentOrderId int64, linkedOrderId int64",
    "PositionModel": "id int32*, accountId int32*, contractId string*, contractDisplayName string, "
    "creationTimestamp date-time*, type PositionType*, size int32*, averagePrice decimal*",
    "HalfTradeModel": "id int64*, accountId int32*, contractId string*, creationTimestamp date-time*, price decimal*, "
    "profitAndLoss decimal, fees decimal*, commissions decimal, side OrderSide*, size int32*, voided boolean*, "
    "orderId int64*",
}

_SCALARS: dict[str, Schema] = {
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "date": {"type": "string", "format": "date"},
    "date-time": {"type": "string", "format": "date-time"},
    "decimal": {"type": "number", "format": "decimal"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
}

ENUMS: dict[str, type[IntEnum]] = {
    "OrderStatus": tables.OrderState,
    "OrderType": tables.OrderType,
    "OrderSide": tables.OrderSide,
    "PositionType": tables.PositionType,
    "AggregateBarUnit": tables.BarUnit,
    "OrderSortField": tables.OrderSortField,
    "SortDirection": tables.SortDirection,
}

# Payload member -> its schema, as in MODELS; `[]` marks a list.
_PAYLOADS = {
    "token": "string",
    "newToken": "string",
    "accounts": "TradingAccountModel[]",
    "contracts": "ContractModel[]",
    "contract": "ContractModel",
    "bars": "AggregateBarModel[]",
    "orders": "OrderModel[]",
    "order": "OrderModel",
    "orderId": "int64",
    "positions": "PositionModel[]",
    "trades": "HalfTradeModel[]",
}


class _Names(NamedTuple):
    """The gateway's names around one call, and the struct of its request."""

    operation: str
    response: str
    codes: str
    request: str = ""
    shape: type[bodies.Request] | None = None


_LOGIN = ("LoginResponse", "LoginErrorCode")
_ORDERS = ("SearchOrderResponse", "SearchOrderErrorCode")
_NAMES: dict[Call, _Names] = {
    tables.LOGIN_KEY: _Names("LoginKey", *_LOGIN, "LoginApiKeyRequest", bodies.LoginKeyRequest),
    tables.LOGIN_APP: _Names("LoginApp", *_LOGIN, "LoginAppRequest", bodies.LoginAppRequest),
    tables.VALIDATE: _Names("Validate", "ValidateResponse", "ValidateErrorCode"),
    tables.LOGOUT: _Names("Logout", "LogoutResponse", "LogoutErrorCode"),
    tables.ACCOUNT_SEARCH: _Names(
        "SearchAccounts",
        "SearchAccountResponse",
        "SearchAccountErrorCode",
        "SearchAccountRequest",
        bodies.AccountSearchRequest,
    ),
    tables.CONTRACT_SEARCH: _Names(
        "SearchContracts",
        "SearchContractResponse",
        "SearchContractErrorCode",
        "SearchContractRequest",
        bodies.ContractSearchRequest,
    ),
    tables.CONTRACT_BY_ID: _Names(
        "SearchContractById",
        "SearchContractByIdResponse",
        "SearchContractByIdErrorCode",
        "SearchContractByIdRequest",
        bodies.ContractByIdRequest,
    ),
    tables.CONTRACT_AVAILABLE: _Names(
        "AvailableContracts",
        "ListAvailableContractResponse",
        "ListAvailableContractErrorCode",
        "ListAvailableContractRequest",
        bodies.ContractAvailableRequest,
    ),
    tables.RETRIEVE_BARS: _Names(
        "GetBars", "RetrieveBarResponse", "RetrieveBarErrorCode", "RetrieveBarRequest", bodies.RetrieveBarsRequest
    ),
    tables.ORDER_PLACE: _Names(
        "PlaceOrder", "PlaceOrderResponse", "PlaceOrderErrorCode", "PlaceOrderRequest", bodies.OrderPlaceRequest
    ),
    tables.ORDER_MODIFY: _Names(
        "ModifyOrder", "ModifyOrderResponse", "ModifyOrderErrorCode", "ModifyOrderRequest", bodies.OrderModifyRequest
    ),
    tables.ORDER_CANCEL: _Names(
        "CancelOrder", "CancelOrderResponse", "CancelOrderErrorCode", "CancelOrderRequest", bodies.OrderIdRequest
    ),
    tables.ORDER_SEARCH: _Names("SearchOrders", *_ORDERS, "SearchOrderRequest", bodies.OrderSearchRequest),
    tables.ORDER_SEARCH_OPEN: _Names("SearchOpenOrders", *_ORDERS, "SearchOpenOrderRequest", bodies.AccountIdRequest),
    tables.ORDER_BY_ID: _Names(
        "SearchOrderById",
        "SearchOrderByIdResponse",
        "SearchOrderByIdErrorCode",
        "SearchOrderByIdRequest",
        bodies.OrderIdRequest,
    ),
    tables.ORDER_QUERY: _Names(
        "QueryOrders", "QueryOrderResponse", "QueryOrderErrorCode", "QueryOrderRequest", bodies.OrderQueryRequest
    ),
    tables.POSITION_SEARCH_OPEN: _Names(
        "SearchOpenPositions",
        "SearchPositionResponse",
        "SearchPositionErrorCode",
        "SearchPositionRequest",
        bodies.AccountIdRequest,
    ),
    tables.POSITION_CLOSE: _Names(
        "CloseContractPosition",
        "ClosePositionResponse",
        "ClosePositionErrorCode",
        "CloseContractPositionRequest",
        bodies.CloseContractRequest,
    ),
    tables.POSITION_PARTIAL_CLOSE: _Names(
        "PartialCloseContractPosition",
        "PartialClosePositionResponse",
        "PartialClosePositionErrorCode",
        "PartialCloseContractPositionRequest",
        bodies.PartialCloseRequest,
    ),
    tables.TRADE_SEARCH: _Names(
        "SearchHalfTurnTrades",
        "SearchHalfTradeResponse",
        "SearchTradeErrorCode",
        "SearchTradeRequest",
        bodies.TradeSearchRequest,
    ),
}
_INNER: dict[type, str] = {bodies.Bracket: "PlaceOrderBracket", bodies.OrderFilter: "QueryOrderFilter"}

# Request members that are enumerations on the wire though plain integers in our structs.
_ENUM_MEMBERS = {
    "type": "OrderType",
    "side": "OrderSide",
    "unit": "AggregateBarUnit",
    "sortBy": "OrderSortField",
    "sortDirection": "SortDirection",
    "statuses": "OrderStatus",
}
_TIME_ENDINGS = ("Time", "Timestamp", "After", "Before")


def request_shape(call: Call) -> type[bodies.Request] | None:
    """The struct of a call's request; None for a call without a body."""
    return _NAMES[call].shape


@cache
def encoded() -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document())


def document() -> Schema:
    """The whole interface as a Swagger 2.0 document."""
    paths = {call.path: {"post": _operation(call)} for call in tables.CALLS}
    ping = {"tags": ["Status"], "operationId": "Status_Ping", "responses": _answer({"type": "string"})}
    paths[tables.PING_PATH] = {"get": ping}
    definitions = dict(_definitions())
    return {
        "swagger": "2.0",
        "info": {
            "title": "ProjectX Gateway API as T-BOT knows it",
            "description": "Written by T-BOT from its own tables; not the provider's document.",
            "version": "1.0.0",
        },
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(definitions.items())),
    }


def _operation(call: Call) -> Schema:
    names, controller = _NAMES[call], call.path.split("/")[2]
    operation: Schema = {"tags": [controller], "operationId": f"{controller}_{names.operation}"}
    if names.request:
        body = {"name": "request", "in": "body", "required": True, "schema": _reference(names.request)}
        operation["parameters"] = [body]
    operation["responses"] = _answer(_reference(names.response))
    return operation


def _answer(schema: Schema) -> Schema:
    return {"200": {"description": "", "schema": schema}}


def _definitions() -> Iterator[tuple[str, Schema]]:
    for name, kind in ENUMS.items():
        yield name, _enumeration([(member.value, _spoken(member.name)) for member in kind])
    for name, members in MODELS.items():
        yield name, _object(_parsed(members))
    for shape, name in _INNER.items():
        yield name, _object(_members_of(shape))
    for call, names in _NAMES.items():
        if names.shape is not None:
            yield names.request, _object(_members_of(names.shape))
        yield names.codes, _enumeration(list(enumerate(call.codes)))
        yield names.response, _object(_response_members(call, names.codes))


def _response_members(call: Call, codes: str) -> Iterator[tuple[str, Schema, bool]]:
    yield "success", _SCALARS["boolean"], True
    yield "errorCode", _reference(codes), True
    yield "errorMessage", _SCALARS["string"], False
    if call.payload:
        name, mark, _ = _PAYLOADS[call.payload].partition("[]")
        schema = _type(name)
        yield call.payload, {"type": "array", "items": schema} if mark else schema, False
    if call is tables.ORDER_QUERY:
        yield "totalCount", _SCALARS["int32"], False


def _parsed(members: str) -> Iterator[tuple[str, Schema, bool]]:
    for text in members.split(","):
        name, kind = text.split()
        yield name, _type(kind.removesuffix("*")), kind.endswith("*")


def _members_of(shape: type[bodies.Request]) -> Iterator[tuple[str, Schema, bool]]:
    for member in msgspec.structs.fields(shape):
        yield member.encode_name, _request_type(member.encode_name, member.type), member.required


def _request_type(name: str, hint: Any) -> Schema:
    """Schema of a request member from its Python type, an optional one unpacked, and its name."""
    options = [option for option in get_args(hint) if option is not type(None)]
    if get_origin(hint) is not list and options:
        hint = options[0]
    if hint in _INNER:
        return _reference(_INNER[hint])
    if name in _ENUM_MEMBERS:
        schema = _reference(_ENUM_MEMBERS[name])
        return {"type": "array", "items": schema} if get_origin(hint) is list else schema
    if hint is str:
        return _SCALARS["date-time" if name.endswith(_TIME_ENDINGS) else "string"]
    if hint is int:
        return _SCALARS["int64" if name == "orderId" else "int32"]
    return _SCALARS[{bool: "boolean", Decimal: "decimal"}[hint]]


def _type(name: str) -> Schema:
    return _SCALARS.get(name) or _reference(name)


def _object(members: Iterator[tuple[str, Schema, bool]]) -> Schema:
    listed = list(members)
    schema: Schema = {"type": "object"}
    required = [name for name, _, needed in listed if needed]
    if required:
        schema["required"] = required
    schema["properties"] = {name: inner for name, inner, _ in listed}
    return schema


def _enumeration(values: list[tuple[int, str]]) -> Schema:
    return {
        "type": "integer",
        "description": "\n".join(f"{value} = {name}" for value, name in values),
        "x-enumNames": [name for _, name in values],
        "enum": [value for value, _ in values],
    }


def _spoken(name: str) -> str:
    """PENDING_CANCELLATION -> PendingCancellation."""
    return "".join(part.capitalize() for part in name.split("_"))


def _reference(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}
