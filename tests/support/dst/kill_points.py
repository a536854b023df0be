"""The kill points of failure-model section 6 that lie in executor and journal: where exactly the process dies.

`KillBoard` is asked at each place that the world passes; when an armed point is reached, the executor dies there and
then, in the middle of its work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tbot.domain.messages import DeskInput, DeskOutput, Fill, PlaceBracket, RoundTrip, Snapshot, StateChange
from tbot.gateway import codec_tables as tables

KILL_POINTS = {
    "K-EX-01": "signal received, nothing recorded",
    "K-EX-02": "approval recorded, intent not: inside the transaction",
    "K-EX-03": "intent half-written: the commit is torn",
    "K-EX-04": "intent synced, not sent",
    "K-EX-05": "request arrived, no answer",
    "K-EX-06": "answer received, not recorded",
    "K-EX-07": "entry filled, bracket not yet proven",
    "K-EX-08": "entry filled in part",
    "K-EX-09": "modify of the stop sent",
    "K-EX-10": "flatten: state REDUCING recorded",
    "K-EX-11": "flatten: cancel of a working entry arrived",
    "K-EX-12": "flatten: close arrived",
    "K-EX-13": "flatten: proof without positions recorded",
    "K-EX-14": "flatten: cancel of what is left arrived",
    "K-EX-15": "flatten: proof without positions and orders recorded",
    "K-EX-16": "lock decided, not recorded",
    "K-EX-17": "during the queries of the start",
    "K-EX-18": "token refresh in flight",
    "K-EX-19": "between the losing fill and the counter",
    "K-EX-20": "at the rollover of the trading day",
    "K-JR-01": "journal: in the middle of a transaction",
    "K-JR-02": "journal: in the middle of a checkpoint",
    "K-JR-03": "journal: while a full or damaged one is put aside",
    "K-JR-04": "journal: in the middle of a migration",
    "K-ALL-01": "all at once: what was on its way is lost too",
}
QUERIES = (
    tables.ACCOUNT_SEARCH.path,
    tables.POSITION_SEARCH_OPEN.path,
    tables.ORDER_QUERY.path,
    tables.TRADE_SEARCH.path,
)
_TOKENS = (tables.LOGIN_KEY.path, tables.VALIDATE.path)


@dataclass(slots=True)
class Armed:
    """One planned death. `nth` counts down; `args`: of the fault (down, query, ...)."""

    point: str
    nth: int
    args: Mapping[str, Any]


@dataclass
class KillBoard:
    """`crash(armed)` kills the present life of the executor; it does not return to a task of that life."""

    crash: Callable[[Armed], None]
    partly_filled: Callable[[Fill], bool]  # whether more of the fill's order is to come
    armed: list[Armed] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    rollover_ns: int = 0  # market time of the next 17:00 Chicago
    _entry: bool = False  # the step that is being written holds an entry
    _reducing: bool = False
    _closing: bool = False
    _proven: bool = False  # this life has had a complete answer

    def arm(self, point: str, args: Mapping[str, Any]) -> None:
        if point not in KILL_POINTS:
            raise ValueError(f"there is no kill point {point}")
        self.armed.append(Armed(point, int(args.get("nth", 1)), args))

    def new_life(self) -> None:
        """Another executor starts."""
        self._entry = self._reducing = self._closing = self._proven = False

    def at(self, point: str, about: str = "") -> None:
        """The world is at this point; `about` narrows it down (the path of a query)."""
        for armed in self.armed:
            wanted = armed.args.get("query", "")
            if armed.point != point or (wanted and about and wanted != about):
                continue
            armed.nth -= 1
            if armed.nth <= 0:
                self.armed.remove(armed)
                self.reached.append(point)
                self.crash(armed)
            return

    # ------------------------------------------------------------------------------------------------- the journal
    def before_record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        if not self.armed:
            return
        self._entry = any(isinstance(output, PlaceBracket) for output in outputs)
        if self._entry:
            self.at("K-EX-01")
        if any(isinstance(output, StateChange) and output.state == "LOCKED" for output in outputs):
            self.at("K-EX-16")
        if any(isinstance(output, RoundTrip) and output.net_cents < 0 for output in outputs):
            self.at("K-EX-19")
        if self.rollover_ns and item.now_ns >= self.rollover_ns:
            self.at("K-EX-20")

    def after_record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        for output in outputs:
            if isinstance(output, StateChange):
                was, self._reducing = self._reducing, output.state == "REDUCING"
                if self._reducing and not was:
                    self.at("K-EX-10")
        if isinstance(item, Snapshot) and item.complete:
            self._proven = True
            if self._closing and not any(position.size for position in item.positions):
                self.at("K-EX-13")
                if not item.orders:
                    self.at("K-EX-15")
        if self._entry:
            self._entry = False
            self.at("K-EX-04")
        if isinstance(item, Fill) and item.pnl_cents is None:
            self.at("K-EX-07")
            if self.partly_filled(item):
                self.at("K-EX-08")

    def on_sql(self, sql: str) -> None:
        if not self.armed:
            return
        if sql.startswith("INSERT") and self._entry:
            self.at("K-EX-02")
        elif sql.startswith("PRAGMA user_version ="):
            self.at("K-JR-04")
        elif sql == "COMMIT":
            self.at("K-JR-01")

    def after_sql(self, sql: str) -> None:
        if not self.armed:
            return
        if sql == "COMMIT":
            self.at("K-ALL-01", "commit")
            if self._entry:
                self.at("K-EX-03")
        elif "wal_checkpoint" in sql:
            self.at("K-JR-02")

    def on_rename(self, what: str, name: str) -> None:
        """A file of the journal is about to be put aside (rename), or a new one to take its place (replace)."""
        self.at("K-JR-03", what)

    # ----------------------------------------------------------------------------------------------------- the wire
    def on_sent(self, path: str) -> None:
        """A request leaves."""
        if not self._proven and path in QUERIES:
            self.at("K-EX-17", path)

    def on_arrived(self, path: str) -> None:
        """A request has been carried out by the exchange."""
        self.at("K-ALL-01", "wire")
        if path == tables.ORDER_PLACE.path:
            self.at("K-EX-05")
        elif path == tables.ORDER_MODIFY.path:
            self.at("K-EX-09")
        elif path == tables.POSITION_CLOSE.path:
            self._closing = True  # for the rest of this life
            self.at("K-EX-12")
        elif path == tables.ORDER_CANCEL.path and (self._reducing or self._closing):
            self.at("K-EX-14" if self._closing else "K-EX-11")
        elif path in _TOKENS:
            self.at("K-EX-18")

    def on_answer(self, path: str, status: int | None) -> None:
        """An answer is handed to the client."""
        if path == tables.ORDER_PLACE.path and status == 200:
            self.at("K-EX-06")
