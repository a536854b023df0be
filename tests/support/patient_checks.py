"""Makes the online checks wait as long as a busy machine may need: tested is what they judge, not how fast it comes."""

import functools

import pytest

from tbot.commands import live
from tbot.doctor import hubs, online, preflight
from tbot.gateway.http_exchange import HttpExchange
from tbot.gateway.hub import HubTimings

LONG_S = 60.0


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one test; a `RestClient` that is given a deadline of its own keeps that."""
    patient = functools.partialmethod(HttpExchange.__init__, connect_s=LONG_S, read_s=LONG_S)
    monkeypatch.setattr(HttpExchange, "__init__", patient)
    monkeypatch.setattr(hubs.look, "__defaults__", (LONG_S,))
    monkeypatch.setattr(hubs, "CONNECT_S", LONG_S)
    monkeypatch.setattr(hubs, "LIMIT_S", 3 * LONG_S)
    monkeypatch.setattr(hubs, "_TIMINGS", HubTimings(open_s=LONG_S, handshake_s=LONG_S, invoke_s=LONG_S, close_s=1.0))
    for place in (online, preflight):
        monkeypatch.setattr(place, "CHECK_S", 3 * LONG_S)
    for place in (online, live):
        monkeypatch.setattr(place, "CALL_S", LONG_S)
