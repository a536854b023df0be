"""Every test of a module that imports the fixture `each_socket` runs over both WebSockets of the hub."""

import importlib.util

import pytest

from tbot.gateway import hub_sockets
from tbot.gateway.hub_sockets import Opener

OPENERS = {"websockets": hub_sockets.open_websockets, "picows": hub_sockets.open_picows}
_chosen = ["websockets"]


@pytest.fixture(autouse=True, params=list(OPENERS))
def each_socket(request: pytest.FixtureRequest) -> object:
    """The rigs open their hubs with this one."""
    if request.param == "picows" and importlib.util.find_spec(hub_sockets.FAST_PACKAGE) is None:
        pytest.skip("picows is not installed (the extra `fast`)")
    _chosen[0] = request.param
    yield request.param
    _chosen[0] = "websockets"


def opener() -> Opener:
    """What the test's hubs are to be opened with."""
    return OPENERS[_chosen[0]]
