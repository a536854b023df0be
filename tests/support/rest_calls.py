"""Every call of the REST client by its endpoint, with answers that go with it; and a client in a hurry."""

import base64
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gateway_records import ACCOUNT, BAR, CONTRACT, ID, NOW, ORDER, POSITION, TRADE
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway import http_exchange
from tbot.gateway.codec_tables import Call
from tbot.gateway.http_exchange import HttpExchange
from tbot.gateway.redact import Credentials
from tbot.gateway.rest import OrderClient
from tbot.gateway.throttle import Throttle

USER, API_KEY = "canary-user", "canary-api-key-5c1f"
PLACE_REQUEST = bodies.OrderPlaceRequest(account_id=1, contract_id=ID, type=2, side=0, size=1, custom_tag="TB1")


def jwt(number: int = 1) -> str:
    """A token that can be told apart from others."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 4_000_000_000, "n": number}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{claims}.canary-signature"


# What each endpoint answers when all is well.
PAYLOADS: dict[Call, Any] = {
    tables.LOGIN_KEY: jwt(2), tables.VALIDATE: jwt(3), tables.LOGOUT: None, tables.ACCOUNT_SEARCH: [ACCOUNT],
    tables.CONTRACT_SEARCH: [CONTRACT], tables.CONTRACT_BY_ID: CONTRACT, tables.CONTRACT_AVAILABLE: [CONTRACT],
    tables.RETRIEVE_BARS: [BAR], tables.ORDER_PLACE: 3425714842, tables.ORDER_MODIFY: None, tables.ORDER_CANCEL: None,
    tables.ORDER_SEARCH: [ORDER], tables.ORDER_SEARCH_OPEN: [ORDER], tables.ORDER_BY_ID: ORDER,
    tables.ORDER_QUERY: [ORDER], tables.POSITION_SEARCH_OPEN: [POSITION], tables.POSITION_CLOSE: None,
    tables.POSITION_PARTIAL_CLOSE: None, tables.TRADE_SEARCH: [TRADE],
}  # fmt: skip

# A documented code of each endpoint that proves the refusal; where none is documented, HTTP 400 does.
REFUSALS: dict[Call, int] = {
    tables.LOGIN_KEY: 3, tables.VALIDATE: 1, tables.LOGOUT: 1, tables.CONTRACT_BY_ID: 1, tables.RETRIEVE_BARS: 2,
    tables.ORDER_PLACE: 2, tables.ORDER_MODIFY: 3, tables.ORDER_CANCEL: 2, tables.ORDER_SEARCH: 1,
    tables.ORDER_SEARCH_OPEN: 1, tables.ORDER_BY_ID: 1, tables.ORDER_QUERY: 1, tables.POSITION_SEARCH_OPEN: 1,
    tables.POSITION_CLOSE: 2, tables.POSITION_PARTIAL_CLOSE: 5, tables.TRADE_SEARCH: 1,
}  # fmt: skip

RUN: dict[Call, Callable[[OrderClient], Any]] = {
    tables.LOGIN_KEY: lambda client: client.login_key(),
    tables.VALIDATE: lambda client: client.tokens.renew_in_time(),
    tables.LOGOUT: lambda client: client.logout(),
    tables.ACCOUNT_SEARCH: lambda client: client.account_search(),
    tables.CONTRACT_SEARCH: lambda client: client.contract_search("NQ"),
    tables.CONTRACT_BY_ID: lambda client: client.contract_search_by_id(ID),
    tables.CONTRACT_AVAILABLE: lambda client: client.contract_available(),
    tables.RETRIEVE_BARS: lambda client: client.retrieve_bars(ID, NOW, NOW),
    tables.ORDER_PLACE: lambda client: client.order_place(PLACE_REQUEST),
    tables.ORDER_MODIFY: lambda client: client.order_modify(bodies.OrderModifyRequest(account_id=1, order_id=2)),
    tables.ORDER_CANCEL: lambda client: client.order_cancel(bodies.OrderIdRequest(account_id=1, order_id=2)),
    tables.ORDER_SEARCH: lambda client: client.order_search(1, NOW),
    tables.ORDER_SEARCH_OPEN: lambda client: client.order_search_open(1),
    tables.ORDER_BY_ID: lambda client: client.order_search_by_id(1, 2),
    tables.ORDER_QUERY: lambda client: client.order_v2_query(1),
    tables.POSITION_SEARCH_OPEN: lambda client: client.position_search_open(1),
    tables.POSITION_CLOSE: lambda client: client.position_close_contract(
        bodies.CloseContractRequest(account_id=1, contract_id=ID)
    ),
    tables.POSITION_PARTIAL_CLOSE: lambda client: client.position_partial_close(
        bodies.PartialCloseRequest(account_id=1, contract_id=ID, size=1)
    ),
    tables.TRADE_SEARCH: lambda client: client.trade_search(1, NOW),
}


def patient_exchange(url: str, **more: Any) -> HttpExchange:
    """For what is to be answered: no limit but the total one could end it."""
    return HttpExchange(url, connect_s=30, read_s=30, **more)


def deadline_from(monkeypatch: pytest.MonkeyPatch, arrived: threading.Event) -> None:
    """Deadlines begin when `arrived` is set: how long a request takes until then is not what is tested."""

    class Done(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            while not (arrived.wait(0.01) or self.is_set()):
                pass
            return super().wait(timeout)

    class Call(http_exchange._Call):
        def __init__(self) -> None:
            super().__init__()
            self.done = Done()

    monkeypatch.setattr(http_exchange, "_Call", Call)


class HurriedClient(OrderClient):
    """An OrderClient whose pauses take no time and are noted in `pauses`."""

    def __init__(
        self, url: str, *, total_s: float = 60.0, throttle: Throttle | None = None, max_body: int = 8 << 20, **more: Any
    ) -> None:
        self.pauses: list[float] = []
        super().__init__(
            url,
            Credentials(USER, API_KEY),
            throttle=throttle,
            exchange=patient_exchange(url, max_body=max_body),
            total_s=total_s,
            random=lambda: 1.0,
            pause=self.pauses.append,
            **more,
        )
