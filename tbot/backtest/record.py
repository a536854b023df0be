"""What a run keeps of what the Desk heard and said: what reports need, and nothing that grows with the ticks."""

from dataclasses import dataclass, field

from tbot.domain.messages import AccountUpdate, DeskInput, DeskOutput, Fill


@dataclass
class RunRecord:
    """Recorder of a backtest: balances and how many fills; every input with its outputs only when `keep_rows` asks."""

    keep_rows: bool = False
    rows: list[tuple[DeskInput, list[DeskOutput]]] = field(default_factory=list)
    equity: list[tuple[int, int, int]] = field(default_factory=list)  # (account, market time ns, balance in cents)
    fills: int = 0
    _balance: dict[int, int] = field(default_factory=dict)

    def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        """Take note of one input of the Desk."""
        if self.keep_rows:
            self.rows.append((item, outputs))
        if isinstance(item, AccountUpdate):
            if self._balance.get(item.account) != item.balance_cents:
                self._balance[item.account] = item.balance_cents
                self.equity.append((item.account, item.now_ns, item.balance_cents))
        elif isinstance(item, Fill):
            self.fills += 1
