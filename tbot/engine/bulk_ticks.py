"""Whole records of the market hub into the rings of their contracts: the feed's short way, by the decoder's scanner."""

from collections.abc import Mapping

from tbot.engine.clocks import boot_ns
from tbot.engine.contract_feed import ContractFeed
from tbot.gateway.codec_market import MarketDecoder


def bulk_ticks(
    decoder: MarketDecoder, contracts: Mapping[int, ContractFeed], data: bytes, at: int, recv_ns: int, now_ns: int
) -> tuple[int, int]:
    """(where the first record begins that is not known, records before it); see hub_link.Taker. No wait."""
    end, records, books = decoder.scan(data, at, recv_ns, now_ns)
    if books:
        now_boot_ns = boot_ns()
        for book in books:
            contracts[book.contract_id].take_waiting(book, now_boot_ns)
    return end, records
