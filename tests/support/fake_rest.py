"""Stands in for the order client of a LiveBroker: answers on demand, can hold a call back, remembers every request."""

import threading
from collections.abc import Callable
from typing import Any

from gateway_records import ACCOUNT
from tbot.gateway.codec_rest import Answer


class FakeToken:
    text = "t"


class FakeTokens:
    """Always has a token; counts how often it was given up."""

    def __init__(self) -> None:
        self.invalidated = 0
        self.refused = ""  # why the login was refused

    def current(self) -> Any:
        return FakeToken

    def invalidate(self, token: Any) -> None:
        assert token is FakeToken
        self.invalidated += 1


class FakeRest:
    """`answers[method]` is a value or a function of the request; `gates[method]` holds its calls back until set."""

    def __init__(self) -> None:
        self.tokens = FakeTokens()
        self.left = 200  # requests in the budget
        self.calls: list[tuple[str, Any, bool]] = []
        self.entered: dict[str, threading.Event] = {}
        self.gates: dict[str, threading.Event] = {}
        self.answers: dict[str, Any] = {
            "order_place": Answer("accepted", 77, order_id=77),
            "order_modify": Answer("accepted"),
            "order_cancel": Answer("accepted"),
            "position_close_contract": Answer("accepted"),
            "account_search": Answer("accepted", [ACCOUNT]),
            "position_search_open": Answer("accepted", []),
            "order_v2_query": Answer("accepted", [], total=0),
            "trade_search": Answer("accepted", []),
        }
        self._lock = threading.Lock()

    def hold(self, method: str) -> threading.Event:
        """Calls of this method wait until the returned event is set; `entered[method]` tells that one waits."""
        self.gates[method] = threading.Event()
        self.entered[method] = threading.Event()
        return self.gates[method]

    def room(self, *, protective: bool = False) -> int:
        return self.left + 40 * protective

    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method not in self.__dict__.get("answers", {}):
            raise AttributeError(method)

        def call(request: Any, *more: Any, protective: bool = False, **named: Any) -> Any:
            with self._lock:
                self.calls.append((method, (request, *more, named) if more or named else request, protective))
            if method in self.gates:
                self.entered[method].set()
                assert self.gates[method].wait(30)
            answer = self.answers[method]
            if isinstance(answer, Exception):
                raise answer
            return answer(request, *more, **named) if callable(answer) else answer

        return call
