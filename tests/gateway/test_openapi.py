"""Our OpenAPI document against the published one of 2025, against our own codec; and the comparison under attack."""

import copy
import json
import random
import time
from typing import Any

import msgspec
import pytest
import requests

import openapi_facts
from gateway_records import ACCOUNT, BAR, CONTRACT, ORDER, POSITION, TRADE
from sim_rig import running
from tbot.gateway import codec_models as models
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway.openapi import MODELS, document, encoded, request_shape
from tbot.gateway.openapi_compare import MAX_DIFFERENCES, MAX_NODES, Difference, compare, read

# What is known to have come after September 2025, and the one member that we never send.
SINCE = {
    "path removed: POST /api/Order/searchById",
    "path removed: POST /api/Order/v2/query",
    "enum removed: OrderStatus: 7 = PendingCancellation",
    "enum removed: OrderStatus: 8 = Suspended",
    "enum removed: AggregateBarUnit: 7 = Tick",
    "member removed: AggregateBarModel.d: response",
    "member removed: AggregateBarModel.k: response",
    "member removed: OrderModel.trailDistance: response",
    "member removed: OrderModel.trailPrice: response",
    "member removed: OrderModel.parentOrderId: response",
    "member removed: OrderModel.linkedOrderId: response",
    "member removed: PositionModel.contractDisplayName: response",
    "member removed: HalfTradeModel.commissions: response",
    "member removed: PlaceOrderRequest.stopLossBracket: request",
    "member removed: PlaceOrderRequest.takeProfitBracket: request",
}


def told(differences: list[Difference]) -> set[str]:
    return {str(item).partition(" (")[0] for item in differences}


@pytest.mark.parametrize("make", [openapi_facts.swagger, openapi_facts.openapi3], ids=["swagger 2", "openapi 3"])
def test_against_what_was_published_in_2025(make):
    news = told(compare(make(), document()))
    added = {text for text in news if text.startswith("member added")}
    assert news - added == SINCE
    assert len(added) == 1
    assert "linkedOrderId: request, integer int64" in added.pop()


def test_a_document_equals_itself_in_any_order_and_under_other_names():
    assert compare(document(), document()) == []
    assert compare(read(encoded()), document()) == []
    text = encoded().decode()
    for name in document()["definitions"]:
        text = text.replace(f'/{name}"', f'/Other{name}"').replace(f'"{name}":', f'"Other{name}":')
    renamed = json.loads(text)
    assert "OtherOrderModel" in renamed["definitions"]
    renamed["paths"] = {path.upper(): renamed["paths"][path] for path in reversed(renamed["paths"])}
    assert compare(renamed, document()) == []


def changed(edit) -> list[Difference]:
    theirs = copy.deepcopy(document())
    edit(theirs["definitions"], theirs["paths"])
    return compare(theirs, document())


def drop(holder: dict[str, Any], name: str) -> None:
    del holder[name]


CHANGES = [
    (lambda d, p: drop(p, "/api/Order/place"), "path removed: POST /api/Order/place", True),
    (lambda d, p: p.update({"/api/New": {"post": {}}}), "path added: POST /api/New", False),
    (lambda d, p: p.update({"/api/Status/ping": {"post": p["/api/Status/ping"]["get"]}}),
     "path removed: GET /api/Status/ping", True),
    (lambda d, p: d["OrderModel"]["properties"].update(newThing={"type": "string"}),
     "member added: OrderModel.newThing: response, string", False),
    (lambda d, p: drop(d["OrderModel"]["properties"], "stopPrice"),
     "member removed: OrderModel.stopPrice: response", True),
    (lambda d, p: d["OrderModel"]["properties"].update(id={"type": "string"}),
     "type: OrderModel.id: integer int64 is string", True),
    (lambda d, p: d["PositionModel"]["properties"].update(id={"type": "integer", "format": "int64"}),
     "type: PositionModel.id: integer int32 is integer int64", False),
    (lambda d, p: d["ModifyOrderRequest"]["required"].append("size"),
     "required: ModifyOrderRequest.size: request, now required", True),
    (lambda d, p: d["ModifyOrderRequest"]["required"].remove("orderId"),
     "required: ModifyOrderRequest.orderId: request, not required any more", False),
    (lambda d, p: d["OrderModel"]["required"].append("customTag"),
     "required: OrderModel.customTag: response, now required", False),
    (lambda d, p: (d["LoginApiKeyRequest"]["properties"].update(device={"type": "string"}),
                   d["LoginApiKeyRequest"]["required"].append("device")),
     "member added: LoginApiKeyRequest.device: request, string, required", True),
    (lambda d, p: (d["OrderStatus"]["enum"].append(9), d["OrderStatus"]["x-enumNames"].append("Parked")),
     "enum added: OrderStatus: 9 = Parked", False),
    (lambda d, p: d["PlaceOrderErrorCode"]["x-enumNames"].__setitem__(6, "OrderRefused"),
     "enum renamed: PlaceOrderErrorCode: 6 = OrderPending is now OrderRefused", True),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "text", "breaking"), CHANGES, ids=[case[1] for case in CHANGES])
def test_each_kind_of_change_is_told(edit, text, breaking):
    found = {str(item).partition(" (")[0]: item for item in changed(edit)}
    assert text in found
    assert found[text].breaking is breaking
    assert len(found) <= 2


def test_equal_news_from_several_calls_are_told_once():
    (found,) = changed(lambda d, p: d["OrderModel"]["properties"].update(newThing={"type": "string"}))
    assert len(found.places) == 4
    assert str(found).endswith("(4 calls)")


# --------------------------------------------------------------------------------------------- our document, our codec
WRITTEN = {
    "TradingAccountModel": (models.account_members(ACCOUNT), models._Account),
    "ContractModel": (models.contract_members(CONTRACT), models._Contract),
    "AggregateBarModel": (models.bar_members(BAR), models._Bar),
    "OrderModel": (models.order_members(ORDER), models._Order),
    "PositionModel": (models.position_members(POSITION), models._Position),
    "HalfTradeModel": (models.trade_members(TRADE), models._Trade),
}
NEITHER_READ_NOR_WRITTEN = {"AggregateBarModel": {"d", "k"}}  # null in practice
NOT_READ = {"OrderModel": {"symbolId"}}  # follows from the contract id
READ_TOO = {"OrderModel": {"orderId"}}  # seen once in the place of `id`


def test_every_documented_member_is_written_and_read():
    assert set(WRITTEN) == set(MODELS)
    for name, (written, shape) in WRITTEN.items():
        documented = {text.split()[0] for text in MODELS[name].split(",")}
        assert set(written) == documented - NEITHER_READ_NOR_WRITTEN.get(name, set()), name
        read_members = set(shape.__struct_encode_fields__) - READ_TOO.get(name, set())
        assert read_members == set(written) - NOT_READ.get(name, set()), name


def test_every_call_and_code_is_in_it():
    made = document()
    assert len(made["paths"]) == len(tables.CALLS) + 1
    for call in tables.CALLS:
        operation = made["paths"][call.path]["post"]
        answer = made["definitions"][operation["responses"]["200"]["schema"]["$ref"].rpartition("/")[2]]
        code = made["definitions"][answer["properties"]["errorCode"]["$ref"].rpartition("/")[2]]
        assert code["x-enumNames"] == list(call.codes)
        assert call.payload in {*answer["properties"], ""}
        shape = request_shape(call)
        if shape is None:
            assert "parameters" not in operation
            assert call in (tables.VALIDATE, tables.LOGOUT)
            continue
        asked = made["definitions"][operation["parameters"][0]["schema"]["$ref"].rpartition("/")[2]]
        assert list(asked["properties"]) == list(shape.__struct_encode_fields__)


def test_references_lead_somewhere():
    made = document()
    named = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                named.add(value["$ref"].rpartition("/")[2])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(made)
    assert named == set(made["definitions"]), "every definition is used, every reference is defined"


def test_the_simulator_publishes_it():
    with running() as server:
        got = requests.get(server.rest + tables.OPENAPI_PATH, timeout=10)
        assert got.status_code == 200
        assert compare(read(got.content), document()) == []
        assert requests.get(f"{server.rest}/Swagger/V1/swagger.json", timeout=10).status_code == 200
        assert requests.post(server.rest + tables.OPENAPI_PATH, timeout=10).status_code == 404


# ------------------------------------------------------------------------------------------------------------- hostile
def test_F_SEC_05_hostile_documents_are_bounded_and_cleaned():
    loop = {"$ref": "#/definitions/A"}
    wide = {f"m{n}": {"$ref": "#/definitions/W"} for n in range(200)}
    hostile: list[Any] = [
        None, 5, [], {}, {"paths": None}, {"paths": [1]}, {"paths": {"/x": None}}, {"paths": {"/x": {"post": 5}}},
        {"paths": {"/x": {"post": {"parameters": {"a": 1}, "responses": []}}}},
        {"paths": {"/x": {"post": {"responses": {"200": {"schema": loop}}}}}, "definitions": {"A": loop}},
        {"paths": {"/x": {"post": {"responses": {"200": {"schema": {"$ref": "#/definitions/W"}}}}}},
         "definitions": {"W": {"type": "object", "properties": wide}}},
        {"paths": {"/x": {"post": {"responses": {"200": {"schema": {"$ref": "http://127.0.0.1/x"}}}}}}},
        {"paths": {"/x": {"post": {"responses": {"200": {"schema": {
            "type": ["null", 5], "enum": [1, None, {}, 10**5000, "a", True], "x-enumNames": 5, "required": 5,
            "properties": {"a": 5, "b": {"allOf": [{"allOf": [loop, 5]}]}, "c": {"anyOf": []}}}}}}}}},
        {"paths": {f"/p{n}": {"post": {}} for n in range(50_000)}},
    ]  # fmt: skip
    for case in hostile:
        start = time.thread_time()
        found = compare(case, document())
        assert found
        assert len(found) <= MAX_DIFFERENCES + 2
        assert time.thread_time() - start < 5, "work is bounded"
        assert compare(document(), case) is not None
    evil = "\x1b[31m<script>\u202e\u2028" + "x" * 10_000
    document_of = {"paths": {evil: {"post": {}}, "/y": {"post": {"responses": {"200": {"schema": {
        "properties": {evil: {"type": evil, "format": evil, "enum": [evil]}}}}}}}}}  # fmt: skip
    for item in compare(document_of, document()):
        assert "\x1b" not in str(item)
        assert "\u202e" not in str(item)
        assert len(str(item)) < 1000


def test_F_API_06_mutated_documents_never_raise():
    rng = random.Random(7)
    whole = encoded()
    known = document()
    read_ones = 0
    for _ in range(150):
        body = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(body))
            body[at : at + rng.randrange(4)] = rng.choice([b"", b"{}", b"null", b"[]", b'"', b"1e400", b"\xff"])
        try:
            theirs = read(bytes(body))
        except ValueError:
            continue
        read_ones += 1
        assert isinstance(compare(theirs, known), list)
    assert read_ones < 150
    for name in list(known["definitions"]):
        for value in (None, 5, [], {}, "x", {"type": "object", "properties": []}):
            theirs = msgspec.json.decode(whole)
            theirs["definitions"][name] = value
            assert isinstance(compare(theirs, known), list)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"paths":[]}', b"[" * 100_000, b"\xff", b'{"a":NaN}'])
def test_what_is_no_description(body):
    with pytest.raises(ValueError, match="published description"):
        read(body)


def test_the_bound_is_far_from_the_real_document():
    many = {f"/p{n}": value for n in range(20) for value in document()["paths"].values()}
    assert not [item for item in compare(document() | {"paths": many}, document()) if item.kind == "unreadable"]
    assert MAX_NODES > 20 * 600
    assert issubclass(bodies.Request, msgspec.Struct)
