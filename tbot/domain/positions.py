"""Position arithmetic: what a fill does to the net position of one contract, exactly.

Average price with basis (design.md section 8, ruling 17): the basis is the integer sum of entry price times contracts;
a close takes its pro-rata share of it, rounded down, and the remainder stays in the basis. So the P&L of a round trip
is exact, however many partial closes it had: the shares add up to the basis.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Position:
    """Net contracts of one contract and their basis; flat is (0, 0)."""

    size: int = 0  # contracts, signed: + long
    price_size_sum: int = 0  # sum of entry price (ticks) times contracts (unsigned)

    @property
    def side(self) -> int:
        """+1 long, -1 short, 0 flat."""
        return (self.size > 0) - (self.size < 0)

    def closing_size(self, side: int, size: int) -> int:
        """How many contracts of a fill of `size` on `side` would close this position; the rest opens or adds."""
        return min(size, abs(self.size)) if side == -self.side else 0

    def apply(self, side: int, size: int, price: int) -> int:
        """Book one fill (`side` +1/-1, `size` contracts > 0, `price` in ticks); returns its gross P&L in ticks.

        Ticks are summed over contracts (ticks x contracts); 0 for a fill that only opens or adds. A fill larger than
        an opposite position closes it and opens the rest at the same price. ValueError on a size below 1 or a side
        that is neither +1 nor -1.
        """
        if size < 1 or side not in (1, -1):
            raise ValueError(f"a fill has side +1 or -1 and a size of at least 1, not side {side}, size {size}")
        closing = self.closing_size(side, size)
        realised = self._close(closing, price) if closing else 0
        opening = size - closing
        self.size += side * opening
        self.price_size_sum += price * opening
        return realised

    def _close(self, size: int, price: int) -> int:
        held = abs(self.size)
        share = self.price_size_sum * size // held
        realised = self.side * (price * size - share)
        self.size -= self.side * size
        self.price_size_sum -= share
        return realised
