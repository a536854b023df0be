"""Every fault the simulator knows, as data: name, arguments, what its counters count, and one sentence.

A plan (`fault_plan`) is checked against this table, the board (`fault_board`) decides by it which fault meets which
event, `tbot sim --list-faults` and `docs/simulator.md` print it. The names are those of the failure model, section 5.
"""

from tbot.gateway.codec_tables import CALLS
from tbot.sim.fault_kinds import Arg, FaultKind
from tbot.sim.fault_venue_kinds import MARKET_KINDS, VENUE_KINDS

ENDPOINTS: tuple[str, ...] = tuple(call.path.removeprefix("/api/") for call in CALLS)
USER_RECORDS = ("order", "trade", "position", "account")
MARKET_RECORDS = ("quote", "trade", "depth")
CLOSINGS = (
    "rst", "fin", "final", "allowReconnect", "error", "close1000", "close1001", "close1008", "close1009", "close1011",
)  # fmt: skip
GREETINGS = ("401", "403", "404", "409", "429", "500", "502", "503", "error", "garbage", "none", "glued")
MALFORMED = (
    "broken", "no_type", "empty", "non_object", "deep", "utf8", "binary", "huge", "cut", "unknown_type", "no_target",
    "no_array",
)  # fmt: skip
BODIES = (
    "gzip_bomb", "deep", "null_list", "missing", "duplicate", "success_with_code", "truncated", "huge_number",
    "bool_price", "text_price", "empty", "array", "nan", "extra",
)  # fmt: skip

_HUB = Arg("hub", "text", "", ("", "market", "user"), filters=True)
_CONTRACT = Arg("contract", "text", "", filters=True)
_ACCOUNT = Arg("account", "integer", 0, least=0, filters=True)
_KIND = Arg("kind", "text", "", ("", *MARKET_RECORDS, "order", "position", "account"), filters=True)
_USER_KIND = Arg("kind", "text", "", ("", *USER_RECORDS), filters=True)
_ENDPOINT = Arg("endpoint", "text", "", ("", *ENDPOINTS), filters=True)
_HANDLED = Arg("handled", "flag", False)
_HEALS = Arg("heals", "text", "never", ("never", "reconnect", "subscribe"))
_CLOSING = Arg("mode", "text", "rst", CLOSINGS)
_WAIT = Arg("wait", "number", 1.0, least=0)
_SECONDS = Arg("seconds", "number", least=0)
_USER: dict[str, str] = {"hub": "user"}
_PLACE: dict[str, str] = {"endpoint": "Order/place"}

_WEBSOCKETS = (
    FaultKind(
        "ws.drop",
        "Ends the hub's connections: reset, FIN without a close frame, a Close record, or a bare close code; with `for`"
        " new ones too.",
        "record",
        (_HUB, _CLOSING),
        acts=True,
    ),
    FaultKind(
        "ws.blackhole",
        "Nothing goes in or out and new connections get no answer; what was held flows when it ends.",
        "record",
        (_HUB,),
        "on",
    ),
    FaultKind(
        "ws.mute",
        "No records of one contract while pings and the other contracts go on.",
        "record",
        (Arg("contract", "text", filters=True), _KIND, _HEALS),
        "on",
        where={"hub": "market"},
    ),
    FaultKind(
        "ws.handshake",
        "A connection attempt fails: an HTTP status, an error, garbage or no answer, where the socket opens (`upgrade`)"
        " or before that (`negotiate`); `glued` puts records behind the handshake answer in one message.",
        "connect",
        (
            _HUB,
            Arg("mode", "text", choices=GREETINGS),
            Arg("where", "text", "upgrade", ("upgrade", "negotiate"), filters=True),
            Arg("retry_after", "number", 0, least=0),
        ),
    ),
    FaultKind("ws.latency", "Everything the server sends comes later.", "record", (_HUB, _SECONDS), "on"),
    FaultKind("ws.jitter", "Everything comes later by 0 to `seconds`, order kept.", "record", (_HUB, _SECONDS), "on"),
    FaultKind(
        "ws.bandwidth",
        "The link carries so many bytes a second.",
        "record",
        (_HUB, Arg("bytes_per_s", "number", least=1)),
        "on",
    ),
    FaultKind(
        "ws.slice",
        "Other cuts of the stream: records split over messages, `size` records merged in one message, WebSocket"
        " fragments, or single bytes on the wire.",
        "record",
        (
            _HUB,
            Arg("how", "text", choices=("split", "merge", "fragments", "bytes")),
            Arg("size", "integer", 7, least=1),
        ),
        "on",
    ),
    FaultKind(
        "ws.dup",
        "A record comes `copies` times more.",
        "record",
        (_HUB, _KIND, _CONTRACT, Arg("copies", "integer", 1, least=1)),
    ),
    FaultKind(
        "ws.reorder",
        "A record comes after the `by` next ones, or after `wait` seconds.",
        "record",
        (_HUB, _KIND, _CONTRACT, Arg("by", "integer", 1, least=1), _WAIT),
    ),
    FaultKind(
        "ws.replay",
        "The last `records` records come once more.",
        "record",
        (_HUB, Arg("records", "integer", 5, least=1)),
    ),
    FaultKind(
        "ws.corrupt",
        "One member of a record is wrong. `how`: `value` or `raw` (JSON text, so NaN too) put in its place, `remove`,"
        " `text` (number as string), `negate`, `off_tick`, `twice`; field `@0` is the first argument.",
        "record",
        (
            _HUB,
            _KIND,
            _CONTRACT,
            Arg("field", "text"),
            Arg("how", "text", "value", ("value", "raw", "remove", "text", "negate", "off_tick", "twice")),
            Arg("value", "json", None),
        ),
    ),
    FaultKind(
        "ws.malformed",
        "A record that is none comes before a good one (`cut`: the good one itself is cut off).",
        "record",
        (_HUB, _CONTRACT, Arg("kind", "text", choices=MALFORMED)),
    ),
    FaultKind("ws.freeze", "No data at all while pings go on: the silent freeze.", "record", (_HUB, _HEALS), "on"),
    FaultKind("ws.stall", "Nothing is sent, pings neither; at the end all of it at once.", "record", (_HUB,), "on"),
)

_USERHUB = (
    FaultKind("userhub.drop", "As ws.drop.", "record", (_CLOSING,), acts=True, where=_USER),
    FaultKind("userhub.mute", "As ws.freeze.", "record", (_HEALS,), "on", where=_USER),
    FaultKind("userhub.blackhole", "As ws.blackhole.", "record", (), "on", where=_USER),
    FaultKind(
        "userhub.reorder",
        "As ws.reorder.",
        "record",
        (_USER_KIND, _ACCOUNT, Arg("by", "integer", 1, least=1), _WAIT),
        where=_USER,
    ),
    FaultKind(
        "userhub.dup",
        "As ws.dup.",
        "record",
        (_USER_KIND, _ACCOUNT, Arg("copies", "integer", 1, least=1)),
        where=_USER,
    ),
    FaultKind("userhub.withhold", "An event is never sent.", "record", (_USER_KIND, _ACCOUNT), where=_USER),
    FaultKind(
        "userhub.delay",
        "An event comes late, others overtake it.",
        "record",
        (_USER_KIND, _ACCOUNT, _SECONDS),
        where=_USER,
    ),
    FaultKind("userhub.shuffle", "Events of one instant come in any order.", "record", (_ACCOUNT,), "on", where=_USER),
    FaultKind(
        "userhub.logout",
        "GatewayLogout on one hub or both; `drop` also ends the connections.",
        "record",
        (Arg("hub", "text", "user", ("user", "market", "both")), Arg("drop", "flag", False)),
        acts=True,
        where=_USER,
    ),
    FaultKind("userhub.text_ids", "Ids come as text.", "record", (_USER_KIND,), "on", where=_USER),
    FaultKind("userhub.bare", "Events come without their envelope.", "record", (_USER_KIND,), "on", where=_USER),
    FaultKind("userhub.snapshot", "A new subscription gets what there is at once.", "connect", (), "on", where=_USER),
)

_AUTH = (
    FaultKind("auth.expire", "Every token given out so far is dead.", "request", acts=True),
    FaultKind(
        "auth.rotate",
        "A validated token dies, only the new one lives.",
        "request",
        (),
        "on",
        where={"endpoint": "Auth/validate"},
    ),
    FaultKind(
        "auth.lifetime", "New tokens live so long.", "request", (_SECONDS,), "on", where={"endpoint": "Auth/loginKey"}
    ),
    FaultKind(
        "auth.refuse",
        "A login is refused with this code.",
        "request",
        (Arg("code", "integer", 3, least=1), Arg("text", "text", "")),
        where={"endpoint": "Auth/loginKey"},
    ),
    FaultKind(
        "auth.close_on_expiry", "A hub connection whose token dies is closed (allowReconnect).", "connect", (), "on"
    ),
)

_REST = (
    FaultKind(
        "rest.status",
        "Another HTTP status, `n` times; `retry_after` in seconds, sent as such or as a date.",
        "request",
        (
            _ENDPOINT,
            Arg("status", "integer", least=200, most=599),
            Arg("n", "integer", 1, least=1),
            Arg("retry_after", "number", None, least=0),
            Arg("retry_as", "text", "seconds", ("seconds", "date")),
            _HANDLED,
        ),
    ),
    FaultKind(
        "rest.html",
        "A maintenance page instead of JSON.",
        "request",
        (_ENDPOINT, Arg("status", "integer", 200, least=200, most=599), _HANDLED),
    ),
    FaultKind(
        "rest.drip",
        "The answer is a byte every `seconds`, for ever.",
        "request",
        (_ENDPOINT, Arg("seconds", "number", 0.2, least=0), _HANDLED),
    ),
    FaultKind("rest.hang", "No answer, the connection stays open.", "request", (_ENDPOINT, _HANDLED)),
    FaultKind("rest.close_after_headers", "Headers, then the connection ends.", "request", (_ENDPOINT, _HANDLED)),
    FaultKind("rest.reset", "The connection is reset instead of an answer.", "request", (_ENDPOINT, _HANDLED)),
    FaultKind(
        "rest.body",
        "A hostile or broken body; `field` names the member it is about (default: the payload).",
        "request",
        (_ENDPOINT, Arg("kind", "text", choices=BODIES), Arg("field", "text", "")),
    ),
    FaultKind("rest.latency", "The answer comes so much later.", "request", (_ENDPOINT, _SECONDS), "on"),
    FaultKind(
        "rest.stale_read",
        "Queries answer as things stood `age` seconds ago.",
        "request",
        (_ENDPOINT, Arg("age", "number", least=0)),
    ),
    FaultKind(
        "rest.empty_live",
        "Contract lists for this `live` flag are empty.",
        "request",
        (Arg("live", "flag", True),),
        "on",
    ),
)

_DELIVERY = (
    Arg("outcome", "text", "accepted", ("accepted", "rejected", "never")),
    Arg("answer", "text", "ok", ("ok", "drop", "delay", "reset", "garble")),
    Arg("deliver_after", "number", 0.0, least=0),
    Arg("answer_after", "number", 0.0, least=0),
    Arg("twice", "flag", False),
    Arg("code", "integer", 0, least=0),
)


def _delivery(name: str, endpoint: str, what: str) -> FaultKind:
    about = (
        f"What becomes of {what} and, apart from it, of its answer: it is taken (`accepted`), refused with `code`,"
        " or never arrives, after `deliver_after` seconds; the answer is ok, lost, late, a reset, or garbage."
    )
    return FaultKind(name, about, "request", (*_DELIVERY, _ACCOUNT, _CONTRACT), where={"endpoint": endpoint})


_ORDERS = (
    _delivery("order.place", "Order/place", "a placement"),
    _delivery("order.cancel", "Order/cancel", "a cancel"),
    _delivery("order.modify", "Order/modify", "a modification"),
    _delivery("position.close", "Position/closeContract", "a close"),
    _delivery("position.partial_close", "Position/partialCloseContract", "a partial close"),
)

KINDS: tuple[FaultKind, ...] = (*_WEBSOCKETS, *_USERHUB, *_AUTH, *_REST, *_ORDERS, *VENUE_KINDS, *MARKET_KINDS)
CATALOGUE: dict[str, FaultKind] = {kind.name: kind for kind in KINDS}
