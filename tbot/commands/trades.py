"""`tbot trades`: every round trip with its money, its reasons and the time each hop of its entry took.

Read from the journal, also while the engine runs. `--json`: one document `tbot.trades` version 1 with `state_dir`,
`trades` (newest first) and `totals` of those. Each trade has `account, contract, side, size, opened, closed, held_s,
entry_price, exit_price` (averages), `gross_usd, fees_usd, commission_usd, net_usd, entry_reason, exit_reason,
exit_code, signal_id, slippage_ticks` (entry against the decision quote, summed over contracts; + is worse),
`mae_ticks, mfe_ticks` (null: not watched), `boot_ns` (stamps of the boot clock by hop, null where a hop was not
passed) and `hops_ms` (time from each known hop to the next). `--csv` has the same columns, stamps as `<hop>_boot_ns`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.journal_query import (
    Asked,
    check_account,
    csv_text,
    iso,
    journal_options,
    open_family,
    print_json,
    stamp,
)
from tbot.commands.options import Whole
from tbot.commands.words import show
from tbot.domain.words import CLOSED, plural

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tbot.domain.contracts import Product
    from tbot.domain.messages import RoundTrip
    from tbot.storage.journal_rotation import JournalFamily

# In the order in which an entry passes them. journaled: the intent's row was made; it is synced before the request.
HOPS = ("frame_recv", "ring_written", "worker_woke", "sent", "received", "journaled", "request", "answered")
_HOP_WORDS = dict(
    zip(
        HOPS,
        ("frame received", "in the ring", "worker awake", "signal sent", "at the executor", "journaled", "requested",
         "answered"),
        strict=True,
    )
)  # fmt: skip
_PLAIN = (
    "account", "contract", "side", "size", "opened", "closed", "held_s", "entry_price", "exit_price", "gross_usd",
    "fees_usd", "commission_usd", "net_usd", "entry_reason", "exit_reason", "exit_code", "signal_id", "slippage_ticks",
    "mae_ticks", "mfe_ticks",
)  # fmt: skip


@dataclass
class Trade:
    """A round trip and when its intent was in the journal (boot clock; 0: the journal does not have it)."""

    trip: "RoundTrip"
    journaled_boot_ns: int = 0

    def stamps(self) -> dict[str, int]:
        """Boot-clock reading of every hop that is known, in order."""
        trip, stamps = self.trip, self.trip.stamps
        found = (
            stamps.frame_recv_boot_ns,
            stamps.ring_written_boot_ns,
            stamps.worker_woke_boot_ns,
            stamps.sent_boot_ns,
            stamps.received_boot_ns,
            self.journaled_boot_ns,
            trip.request_boot_ns,
            trip.answered_boot_ns,
        )
        return {name: at for name, at in zip(HOPS, found, strict=True) if at}


@click.command()
@click.option("--last", type=Whole(min=1), help="How many, newest first; 20 unless --since asks for all.")
@click.option("--contract", help="Only these contracts, for example MNQ or MNQ,ES.")
@journal_options
def trades(
    last: int | None,
    contract: str | None,
    asked: Asked,
) -> int:
    """List the round trips of the newest run: result, reasons, slippage, and where the time went."""
    from tbot.commands.options import parse_symbols

    asked.one_format()
    zone = asked.zone()
    symbols = parse_symbols(contract) if contract else None
    from_ns, folder = asked.from_ns, asked.folder()
    with open_family(folder) as family:
        check_account(family, asked.account)
        found = list(islice(_trades(family, symbols, asked.account, from_ns), asked.wanted(last)))
        _add_intents(family, found, asked.account)
    if asked.json_output:
        rows = [row(trade) for trade in found]
        print_json({
            "schema": "tbot.trades", "version": 1, "state_dir": str(folder), "trades": rows, "totals": totals(found),
        })  # fmt: skip
    elif asked.csv_output:
        columns = (*_PLAIN, *(f"{hop}_boot_ns" for hop in HOPS))
        click.echo(csv_text(columns, map(_flat, found)), nl=False)
    else:
        show(listed(folder, found, zone))
    return 0


def _trades(
    family: "JournalFamily", symbols: tuple[str, ...] | None, account: int | None, from_ns: int | None
) -> Iterator[Trade]:
    from tbot.domain.contracts import PRODUCTS
    from tbot.domain.messages import RoundTrip
    from tbot.errors import DataError, ProtocolError

    for found in family.newest("RoundTrip", account=account, since_ns=from_ns):
        try:
            trip = family.decode(found)
            assert isinstance(trip, RoundTrip)
            if trip.contract not in PRODUCTS:
                raise ProtocolError(f"contract {trip.contract!a}")
        except ProtocolError as error:
            raise DataError(
                f"{family.path} holds a round trip that this version cannot read ({error}); use the one that wrote it"
            ) from None
        if symbols is None or trip.contract in symbols:
            yield Trade(trip)


def _add_intents(family: "JournalFamily", found: list[Trade], account: int | None) -> None:
    """When the journal had each entry's intent: newest first, so that a few trades need a few rows."""
    from tbot.domain.messages import Intent

    waiting = {(trade.trip.account, trade.trip.signal_id): trade for trade in found if trade.trip.signal_id}
    if not waiting:
        return
    for intended in family.newest("Intent", account=account):
        intent = family.decode(intended)
        assert isinstance(intent, Intent)
        trade = waiting.pop((intent.account, intent.signal_id), None)
        if trade is not None:
            trade.journaled_boot_ns = intended.boot_ns
            if not waiting:
                return


# ---------------------------------------------------------------------------------------------------------- as data
def row(trade: Trade) -> dict[str, Any]:
    """One trade of the document."""
    from tbot.domain.contracts import PRODUCTS

    trip, product = trade.trip, PRODUCTS[trade.trip.contract]
    stamps = trade.stamps()
    return {
        "account": trip.account,
        "contract": trip.contract,
        "side": "long" if trip.side > 0 else "short",
        "size": trip.size,
        "opened": iso(trip.opened_ns),
        "closed": iso(trip.now_ns),
        "held_s": (trip.now_ns - trip.opened_ns) / 1e9,
        "entry_price": _average(trip.entry_price_size, trip.size, float(product.tick_size)),
        "exit_price": _average(trip.exit_price_size, trip.size, float(product.tick_size)),
        "gross_usd": trip.gross_cents / 100,
        "fees_usd": trip.fees_cents / 100,
        "commission_usd": trip.commission_cents / 100,
        "net_usd": trip.net_cents / 100,
        "entry_reason": trip.entry_reason,
        "exit_reason": trip.exit_reason,
        "exit_code": trip.exit_code,
        "signal_id": trip.signal_id,
        "slippage_ticks": trip.slippage_ticks,
        "mae_ticks": trip.mae_ticks,
        "mfe_ticks": trip.mfe_ticks,
        "boot_ns": {hop: stamps.get(hop) for hop in HOPS},
        "hops_ms": {f"{a}_{b}": (stamps[b] - stamps[a]) / 1e6 for a, b in pairwise(stamps)},
    }


def totals(found: list[Trade]) -> dict[str, Any]:
    """Sums over the listed trades, in integer cents until the end."""
    nets = [trade.trip.net_cents for trade in found]
    return {
        "round_trips": len(found),
        "won": sum(net > 0 for net in nets),
        "lost": sum(net < 0 for net in nets),
        "gross_usd": sum(trade.trip.gross_cents for trade in found) / 100,
        "fees_usd": sum(trade.trip.fees_cents for trade in found) / 100,
        "commission_usd": sum(trade.trip.commission_cents for trade in found) / 100,
        "net_usd": sum(nets) / 100,
        "slippage_ticks": sum(trade.trip.slippage_ticks for trade in found),
    }


def _flat(trade: Trade) -> dict[str, Any]:
    whole = row(trade)
    return {name: whole[name] for name in _PLAIN} | {f"{hop}_boot_ns": at for hop, at in whole["boot_ns"].items()}


def _average(price_size: int, size: int, tick_size: float) -> float:
    """Average price; T-BOT never adds to a position, so its largest size is all that was entered."""
    return price_size * tick_size / size


# --------------------------------------------------------------------------------------------------------- in words
def listed(folder: Path, found: list[Trade], zone: "ZoneInfo") -> list[str]:
    """Three lines a trade, and the totals."""
    if not found:
        return [f"no round trips yet in {folder}"]
    lines = [f"round trips of {folder}, newest first"]
    for trade in found:
        lines += _lines(trade, zone)
    return [*lines, _total_line(found)]


def _lines(trade: Trade, zone: "ZoneInfo") -> list[str]:
    from tbot.domain.contracts import PRODUCTS

    trip, whole = trade.trip, row(trade)
    product = PRODUCTS[trip.contract]
    prices = [_price(product, total, trip.size) for total in (trip.entry_price_size, trip.exit_price_size)]
    code = f" ({whole['exit_code']})" if whole["exit_code"] else ""
    excursion = "how far it went is not known (over before a minute had closed)"
    if trip.mae_ticks is not None and trip.mfe_ticks is not None:
        excursion = f"{plural(trip.mae_ticks, 'tick')} against, {trip.mfe_ticks:,} in favour"
    lines = [
        f"{stamp(trip.now_ns, zone)}  {trip.contract} {whole['side']} {trip.size}  "
        f"{prices[0]} to {prices[1]}  net {_money(trip.net_cents)}  "
        f"closed {CLOSED[trip.exit_reason]}{code}",
        f"    gross {_money(trip.gross_cents)}, fees {_cost(trip.fees_cents)}, commission "
        f"{_cost(trip.commission_cents)}; entry slippage {_slippage(trip.slippage_ticks, trip.size)}; {excursion}; "
        f"held {whole['held_s']:.0f} s",
        f"    account {trip.account}, signal {trip.signal_id or 'none'}: {trip.entry_reason or 'no reason recorded'}",
    ]
    if whole["hops_ms"]:
        (first, start), *later = trade.stamps().items()
        hops = [f"{_HOP_WORDS[hop]} +{(at - start) / 1e6:.2f} ms" for hop, at in later]
        lines.append(f"    from {_HOP_WORDS[first]}: {', '.join(hops)}")
    return lines


def _price(product: "Product", price_size: int, size: int) -> str:
    """An average price, with more decimals where it lies between two ticks."""
    whole, rest = divmod(price_size, size)
    if not rest:
        return product.format(whole)
    return f"{_average(price_size, size, float(product.tick_size)):.{product.decimals + 2}f}".rstrip("0")


def _slippage(ticks: int, size: int) -> str:
    """Ticks over all contracts, told for one of them, as the excursions are."""
    if not ticks:
        return "none"
    whole, rest = divmod(abs(ticks), size)
    told = f"{abs(ticks) / size:.1f} ticks" if rest else plural(whole, "tick")
    return f"{told} a contract {'worse' if ticks > 0 else 'better'}"


def _total_line(found: list[Trade]) -> str:
    whole = totals(found)
    trips = [trade.trip for trade in found]
    return (
        f"total of {whole['round_trips']}: won {whole['won']}, lost {whole['lost']}, "
        f"gross {_money(sum(trip.gross_cents for trip in trips))}, "
        f"fees {_cost(sum(trip.fees_cents for trip in trips))}, "
        f"commission {_cost(sum(trip.commission_cents for trip in trips))}, "
        f"net {_money(sum(trip.net_cents for trip in trips))}"
    )


def _money(cents: int) -> str:
    from tbot.dashboard.view import money

    return money(cents / 100)


def _cost(cents: int) -> str:
    return _money(cents).lstrip("+")
