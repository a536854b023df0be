"""From names of a plan to the controls of venue and market."""

from tbot.sim.exchange import Exchange
from tbot.sim.fault_board import Hit
from tbot.sim.market import Market


class FaultActions:
    """Carries out the faults that happen at the venue or in its market."""

    def __init__(self, exchange: Exchange, market: Market) -> None:
        self._exchange = exchange
        self._market = market

    def before(self, hit: Hit) -> None:
        """A fault that shapes the request which is about to be taken."""

    def begin(self, hit: Hit) -> None:
        """A fault that happens now."""

    def end(self, hit: Hit) -> None:
        """The end of one with a duration."""

    def calm(self) -> None:
        """Nothing more is pending."""
