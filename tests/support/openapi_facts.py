"""The gateway's REST interface as it was published in September 2025, in short form, and as a Swagger 2.0 document.

Facts read from the public copy; the newer members that we know from elsewhere are not in it on purpose.
"""

from typing import Any

ENUMS = {
    "OrderStatus": "None Open Filled Cancelled Expired Rejected Pending",
    "OrderType": "Unknown Limit Market StopLimit Stop TrailingStop JoinBid JoinAsk",
    "OrderSide": "Bid Ask",
    "PositionType": "Undefined Long Short",
    "AggregateBarUnit": "Unspecified Second Minute Hour Day Week Month",
    "Plain": "Success",
    "Account": "Success AccountNotFound",
    "Contract": "Success ContractNotFound",
    "Bar": "Success ContractNotFound UnitInvalid UnitNumberInvalid LimitInvalid",
    "Login": "Success UserNotFound PasswordVerificationFailed InvalidCredentials AppNotFound AppVerificationFailed "
    "InvalidDevice AgreementsNotSigned UnknownError ApiSubscriptionNotFound ApiKeyAuthenticationDisabled",
    "Logout": "Success InvalidSession UnknownError",
    "Validate": "Success InvalidSession SessionNotFound ExpiredToken UnknownError",
    "Place": "Success AccountNotFound OrderRejected InsufficientFunds AccountViolation OutsideTradingHours "
    "OrderPending UnknownError ContractNotFound ContractNotActive AccountRejected",
    "Cancel": "Success AccountNotFound OrderNotFound Rejected Pending UnknownError AccountRejected",
    "Modify": "Success AccountNotFound OrderNotFound Rejected Pending UnknownError AccountRejected ContractNotFound",
    "Close": "Success AccountNotFound PositionNotFound ContractNotFound ContractNotActive OrderRejected OrderPending "
    "UnknownError AccountRejected",
    "Partial": "Success AccountNotFound PositionNotFound ContractNotFound ContractNotActive InvalidCloseSize "
    "OrderRejected OrderPending UnknownError AccountRejected",
}
MODELS = {
    "AccountModel": "id:int32! name! balance:decimal! canTrade:bool! isVisible:bool! simulated:bool!",
    "ContractModel": "id! name! description! tickSize:decimal! tickValue:decimal! activeContract:bool! symbolId!",
    "BarModel": "t:time! o:decimal! h:decimal! l:decimal! c:decimal! v:int64!",
    "OrderModel": "id:int64! accountId:int32! contractId! symbolId! creationTimestamp:time! updateTimestamp:time "
    "status:OrderStatus! type:OrderType! side:OrderSide! size:int32! limitPrice:decimal stopPrice:decimal "
    "fillVolume:int32! filledPrice:decimal customTag",
    "PositionModel": "id:int32! accountId:int32! contractId! creationTimestamp:time! type:PositionType! size:int32! "
    "averagePrice:decimal!",
    "TradeModel": "id:int64! accountId:int32! contractId! creationTimestamp:time! price:decimal! profitAndLoss:decimal "
    "fees:decimal! side:OrderSide! size:int32! voided:bool! orderId:int64!",
}
# path, request, error codes, payload of the answer
CALLS = [
    ("Account/search", "onlyActiveAccounts:bool!", "Plain", "accounts:[AccountModel]"),
    ("Auth/loginApp", "userName! password! deviceId! appId! verifyKey!", "Login", "token"),
    ("Auth/loginKey", "userName! apiKey!", "Login", "token"),
    ("Auth/logout", "", "Logout", ""),
    ("Auth/validate", "", "Validate", "newToken"),
    ("Contract/search", "searchText live:bool!", "Plain", "contracts:[ContractModel]"),
    ("Contract/searchById", "contractId!", "Contract", "contract:ContractModel"),
    ("Contract/available", "live:bool!", "Plain", "contracts:[ContractModel]"),
    ("History/retrieveBars", "contractId! live:bool! startTime:time! endTime:time! unit:AggregateBarUnit! "
     "unitNumber:int32! limit:int32! includePartialBar:bool!", "Bar", "bars:[BarModel]"),
    ("Order/search", "accountId:int32! startTimestamp:time! endTimestamp:time", "Account", "orders:[OrderModel]"),
    ("Order/searchOpen", "accountId:int32!", "Account", "orders:[OrderModel]"),
    ("Order/place", "accountId:int32! contractId! type:OrderType! side:OrderSide! size:int32! limitPrice:decimal "
     "stopPrice:decimal trailPrice:decimal customTag linkedOrderId:int64", "Place", "orderId:int64"),
    ("Order/cancel", "accountId:int32! orderId:int64!", "Cancel", ""),
    ("Order/modify", "accountId:int32! orderId:int64! size:int32 limitPrice:decimal stopPrice:decimal "
     "trailPrice:decimal", "Modify", ""),
    ("Position/searchOpen", "accountId:int32!", "Account", "positions:[PositionModel]"),
    ("Position/closeContract", "accountId:int32! contractId!", "Close", ""),
    ("Position/partialCloseContract", "accountId:int32! contractId! size:int32!", "Partial", ""),
    ("Trade/search", "accountId:int32! startTimestamp:time endTimestamp:time", "Account", "trades:[TradeModel]"),
]  # fmt: skip

_SCALARS: dict[str, dict[str, Any]] = {
    "": {"type": "string"},
    "bool": {"type": "boolean"},
    "time": {"type": "string", "format": "date-time"},
    "decimal": {"type": "number", "format": "decimal"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
}


def _schema(kind: str, base: str) -> dict[str, Any]:
    if kind.startswith("["):
        return {"type": "array", "items": _schema(kind[1:-1], base)}
    return _SCALARS.get(kind) or {"$ref": f"{base}{kind}"}


def _object(text: str, base: str) -> dict[str, Any]:
    properties, required = {}, []
    for item in text.split():
        name, _, kind = item.rstrip("!").partition(":")
        properties[name] = _schema(kind, base)
        if item.endswith("!"):
            required.append(name)
    return {"type": "object", "required": required, "properties": properties}


def _definitions(base: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in ENUMS.items():
        names = values.split()
        found[name] = {"type": "integer", "x-enumNames": names, "enum": list(range(len(names)))}
    found |= {name: _object(text, base) for name, text in MODELS.items()}
    return found


def _answer(codes: str, payload: str, base: str) -> dict[str, Any]:
    return _object(f"success:bool! errorCode:{codes}! errorMessage {payload}", base)


def swagger() -> dict[str, Any]:
    """The facts as a Swagger 2.0 document."""
    base = "#/definitions/"
    paths: dict[str, Any] = {
        "/api/Status/ping": {"get": {"responses": {"200": {"description": "", "schema": {"type": "string"}}}}}
    }
    for path, request, codes, payload in CALLS:
        operation: dict[str, Any] = {"responses": {"200": {"description": "", "schema": _answer(codes, payload, base)}}}
        if request:
            operation["parameters"] = [{"name": "request", "in": "body", "schema": _object(request, base)}]
        paths[f"/api/{path}"] = {"post": operation}
    return {"swagger": "2.0", "paths": paths, "definitions": _definitions(base)}


def openapi3() -> dict[str, Any]:
    """The same facts as OpenAPI 3.1 writes them: bodies by content type, nulls as types, wrapped references."""
    base = "#/components/schemas/"
    ping = {"responses": {"200": {"content": {"text/plain": {"schema": {"type": ["string", "null"]}}}}}}
    paths: dict[str, Any] = {"/api/Status/ping": {"get": ping}}
    schemas = _definitions(base)
    for path, request, codes, payload in CALLS:
        name = path.replace("/", "")
        envelope = _object(f"success:bool! errorCode:{codes}! errorMessage", base)
        envelope["properties"]["errorMessage"] = {"type": ["string", "null"]}
        schemas[f"{name}Base"] = envelope
        schemas[f"{name}Answer"] = {"allOf": [{"$ref": f"{base}{name}Base"}, _object(payload, base)]}
        answer = {"schema": {"oneOf": [{"type": "null"}, {"$ref": f"{base}{name}Answer"}]}}
        operation: dict[str, Any] = {"responses": {"200": {"content": {"application/json": answer}}}}
        if request:
            schemas[f"{name}Ask"] = _object(request, base)
            operation["requestBody"] = {
                "content": {"application/json": {"schema": {"allOf": [{"$ref": f"{base}{name}Ask"}]}}}
            }
        paths[f"/API/{path}"] = {"post": operation, "parameters": []}
    return {"openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas}}
