"""The simulator's own endpoints for tests and referees: faults, truth and wire log (below /sim/).

They need the control token of the ready line in the header X-Sim-Token. A page in a browser cannot send that header to
another origin without being asked, and is not told the token; so it can neither read nor drive a simulator.
"""

import hmac
from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import msgspec

from tbot.errors import ConfigError
from tbot.sim.accounts import SimAccount
from tbot.sim.exchange import Exchange
from tbot.sim.fault_catalogue import KINDS
from tbot.sim.fault_kinds import REQUIRED, FaultKind
from tbot.sim.fault_plan import parse_plan
from tbot.sim.fault_shell import FaultShell
from tbot.sim.hub_server import Hub
from tbot.sim.rest_server import Reply
from tbot.sim.wire_log import WireLog

TOKEN_HEADER = "X-Sim-Token"
FAULTS_PATH, STATE_PATH, WIRE_PATH = "/sim/faults", "/sim/state", "/sim/wire"
_encode = msgspec.json.Encoder(decimal_format="number").encode


class ControlApi:
    """Answers the control endpoints; plain code without sockets."""

    def __init__(self, token: str, shell: FaultShell, exchange: Exchange, hubs: list[Hub], wire: WireLog) -> None:
        self.token = token
        self._shell = shell
        self._exchange = exchange
        self._hubs = hubs
        self._wire = wire
        self._routes: dict[str, dict[str, Callable[[bytes, dict[str, str]], Reply]]] = {
            FAULTS_PATH: {"GET": self._faults, "POST": self._add, "DELETE": self._calm},
            STATE_PATH: {"GET": self._state},
            WIRE_PATH: {"GET": self._requests},
        }

    def knows(self, path: str) -> bool:
        """Whether this path is one of ours."""
        return path in self._routes

    def handle(self, method: str, path: str, token: str, body: bytes, query: dict[str, str]) -> Reply:
        """One request; `path` is one that `knows` knows."""
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return _error(401, f"send the ready line's control_token in the header {TOKEN_HEADER}")
        routes = self._routes[path]
        if method not in routes:
            return Reply(405, b"", {"Allow": ", ".join(routes)})
        return routes[method](body, query)

    # ------------------------------------------------------------------------------------------------------ faults
    def _faults(self, _body: bytes, _query: dict[str, str]) -> Reply:
        board, moment = self._shell.board, self._shell.moment()
        document = {
            "seed": board.seed,
            "market_ns": moment.market_ns,
            "planned": board.state(moment.real_s),
            "fired": dict(board.counts),
            "failures": list(self._shell.actions.failures),
            "log": [asdict(firing) for firing in board.log],
            "catalogue": [describe_kind(kind) for kind in KINDS],
        }
        return Reply(200, _encode(document))

    def _add(self, body: bytes, _query: dict[str, str]) -> Reply:
        try:
            faults = parse_plan(body.decode().splitlines(), self._shell.board.ids)
        except UnicodeDecodeError:
            return _error(400, "a fault plan is UTF-8 text, one JSON object a line")
        except ConfigError as error:
            return _error(400, str(error))
        self._shell.add(faults)
        return Reply(200, _encode({"added": [fault.id for fault in faults]}))

    def _calm(self, _body: bytes, _query: dict[str, str]) -> Reply:
        stopped = self._shell.board.ids
        self._shell.calm()
        return Reply(200, _encode({"stopped": stopped}))

    # ------------------------------------------------------------------------------------------------------- truth
    def _state(self, _body: bytes, _query: dict[str, str]) -> Reply:
        document = {
            "market_ns": self._shell.moment().market_ns,
            "sent": self._shell.sent(),
            "accounts": [_account(account) for account in self._exchange.accounts.values()],
            "contracts": {
                symbol: {
                    "id": contract.broker_id,
                    "bid": state.bid,
                    "ask": state.ask,
                    "last": state.last,
                }
                for symbol, contract in self._exchange.contracts.items()
                if (state := self._exchange.states.get(symbol)) is not None
            },
            "connections": [
                {"hub": hub.kind, "user": connection.user, "topics": sorted(map(list, connection.topics), key=str)}
                for hub in self._hubs
                for connection in hub.connections
            ],
        }
        return Reply(200, _encode(document))

    def _requests(self, _body: bytes, query: dict[str, str]) -> Reply:
        text = query.get("since", "0")
        if not text.isascii() or not text.isdigit() or len(text) > 15:
            return _error(400, "since must be the number of the last entry you have")
        return Reply(200, _encode({"requests": self._wire.since(int(text))}))


def describe_kind(kind: FaultKind) -> dict[str, Any]:
    """One entry of the catalogue for people and programs."""
    return {
        "name": kind.name,
        "about": kind.about,
        "counts": kind.counted,
        "acts": kind.acts,
        "lasts": kind.lasts,
        "args": [
            {"name": arg.name, "kind": arg.kind, "required": arg.default is REQUIRED}
            | ({} if arg.default is REQUIRED else {"default": arg.default})
            | ({"choices": arg.choices} if arg.choices else {})
            for arg in kind.args
        ],
    }


def _account(account: SimAccount) -> dict[str, Any]:
    """Everything about an account in ticks and cents."""
    book = account.book
    return {
        "id": account.account_id,
        "name": account.name,
        "owner": account.owner,
        "can_trade": account.can_trade,
        "failed": account.failed,
        "hidden": account.hidden,
        "balance_cents": book.balance_cents,
        "day_start_cents": account.day_start_cents,
        "floor_cents": account.floor_cents(),
        "positions": [_plain(holding) for holding in book.holdings()],
        "orders": [_plain(order) for order in book.orders.values()],
        "fills": [_plain(fill) for fill in book.fills],
    }


def _plain(record: Any) -> dict[str, Any]:
    assert is_dataclass(record) or isinstance(record, msgspec.Struct)
    names = record.__struct_fields__ if isinstance(record, msgspec.Struct) else [one.name for one in fields(record)]
    return {name: getattr(record, name) for name in names}


def _error(status: int, text: str) -> Reply:
    return Reply(status, _encode({"error": text}))
