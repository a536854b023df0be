"""The panels of the terminal dashboard: each a pure function from a frame to rows of text.

Money with its sign, prices with the tick's decimals, and a word beside every colour.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tbot.dashboard.rows import Row, Span, fitted, width_of
from tbot.dashboard.shown import STALE_S, Shown
from tbot.dashboard.view import HOPS, clock_text, duration, money, short_clock
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NAMES, NS_PER_MIN
from tbot.domain.words import plural, profit_factor
from tbot.gateway.redact import plain

SPARKS = "▁▂▃▄▅▆▇█"
BADGES = {"DEMO": "demo", "PAPER": "paper", "LIVE": "live", "REPLAY": "replay"}
STATES = {"ACTIVE": "!good", "STARTING": "accent", "RECONCILING": "accent", "STOPPING": "warn", "STOPPED": "dim"}
KINDS = {
    "SIGNAL": "!accent", "INTENT": "accent", "DENIAL": "warn", "FILL": "!white", "ROUND": "!white", "STATE": "warn",
    "ASKED": "!warn",
}  # fmt: skip


def usd(cents: float) -> Span:
    """Money with its sign and colour."""
    return Span(money(cents / 100), "good" if cents > 0 else "bad" if cents < 0 else "text")


def signed(minutes: float) -> str:
    """`16 min`, `2 h 5 min`."""
    whole = int(minutes)
    return f"{whole} min" if whole < 60 else f"{whole // 60} h {whole % 60} min"


# -------------------------------------------------------------------------------------------------------------- header
def header(shown: Shown, width: int) -> list[Row]:
    """What runs and what time it is; whose money and how much of it is left to lose; and, if need be, a notice."""
    status = shown.status
    badge = str(status.get("badge", "")) or "–"
    first: Row = [Span(f" {badge} ", f"!black/{BADGES.get(badge, 'demo')}"), Span(" ")]
    name = NAMES[shown.choice.timeframe_min]
    first += [Span(shown.symbol or "no contract", "!white"), Span(f" {name}  ", "dim")]
    if shown.last is not None:
        first += [Span(shown.price(shown.last), "!white"), Span("  ")]
    state, reason = str(status.get("state", "")), str(status.get("reason", ""))
    if shown.gone:
        first += [Span(shown.gone, "!warn")]
    else:
        first += [Span(state, STATES.get(state, "!warn"))]
        if reason and state != "ACTIVE":
            first += [Span(f" {reason}", "warn")]
    clock = clock_text(shown.market_ns, shown.choice.zone)
    speed = status.get("speed", 1)
    right = [Span(clock if width >= 110 else clock.split(" · ")[0])]
    if speed not in (0, 1):
        right.append(Span(f" ×{speed:g}", "dim"))
    room = width - width_of(right) - 2
    first = fitted(first, room) if width_of(first) > room else first
    gap = Span(" " * (width - width_of(first) - width_of(right) - 1))
    rows = [[*first, gap, *right, Span(" ")], fitted(_money_line(shown, width), width)]
    return [*rows, fitted([Span(f" ! {plain(shown.notice, width)}", "!warn")], width)] if shown.notice else rows


def _money_line(shown: Shown, width: int) -> Row:
    account = shown.account
    if not account:
        return [Span(" no account yet", "dim")]
    several = len(shown.status.get("accounts", {})) > 1
    name = plain(str(account["name"]), 24 if width >= 110 else 14)
    row: Row = [Span(f" {name}", "!text"), Span(f" {account['state']}" if several else "", "warn")]
    row += [Span("  day ", "dim"), usd(account["day_pnl_cents"]), Span("  open ", "dim")]
    row += [usd(sum(shown.open_cents(held) for held in shown.positions)), Span("  room ", "dim")]
    row += [Span(money(account["day_room_cents"] / 100).lstrip("+"), "text")]
    contract = shown.contract
    if contract and not shown.gone:
        rate = contract.get("ticks_per_s", 0.0)
        fed = contract.get("feed") == "ok"
        row += [Span("  ● " if fed else "  ○ ", "good" if fed else "warn")]
        row += [Span(f"feed {rate:.0f}/s" if fed else f"feed {contract.get('feed', '?')}", "dim" if fed else "warn")]
    if shown.age_s > STALE_S and not shown.gone:
        row += [Span(f"  status is {shown.age_s:.0f} s old", "!warn")]
    return row


# ------------------------------------------------------------------------------------------------------------- panels
def gauge(used: float, width: int, style: str) -> Row:
    """A bar in eighths of a cell: how much of something is used, 0..1."""
    eighths = round(min(max(used, 0.0), 1.0) * width * 8)
    whole, rest = divmod(eighths, 8)
    text = "█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    return [Span(text, style), Span("─" * (width - len(text)), "faint")]


def _distance(label: str, used: float, left: str, width: int) -> Row:
    style = "good" if used < 0.5 else "warn" if used < 0.8 else "bad"
    return [Span(f"{label:<11}", "dim"), *gauge(used, max(6, width - 11 - 17), style), Span(f" {left:>16}")]


def risk(shown: Shown, width: int) -> list[Row]:
    """How far it is to each limit: what is used up is filled."""
    account = shown.account
    if not account:
        return [[Span("no account yet", "dim")]]
    room, day = account["day_room_cents"], account["day_pnl_cents"]
    limit = max(1, room - day)
    rows = [_distance("daily loss", 1 - room / limit, f"{_whole(room)} left", width)]
    firm = account.get("firm")
    if firm and firm["known"]:
        to_floor = firm["to_floor_cents"]
        most = max(to_floor, firm["high_water_cents"] - firm["floor_cents"], 1)
        rows.append(_distance("loss floor", 1 - to_floor / most, f"{_whole(to_floor)} left", width))
        target = firm["target_cents"]
        if target:
            profit = firm["profit_cents"]
            row = _distance("target", profit / target, f"{_whole(profit)} of {_whole(target)}", width)
            rows.append([row[0], Span(row[1].text, "accent"), *row[2:]])
    entries, most = account["entries_today"], account.get("entries_most")
    if most:
        rows.append(_distance("trades", entries / most, f"{max(0, most - entries)} of {most} left", width))
    streak, allowed = account["loss_streak"], account.get("streak_most")
    words = f"losses in a row {streak}" + (f" of {allowed}" if allowed else "")
    rows.append([Span(words, "warn" if allowed and streak >= allowed else "dim")])
    return rows


def _whole(cents: int) -> str:
    """Dollars without cents."""
    return f"{'−' if cents < 0 else ''}${abs(cents) // 100:,}"


def position(shown: Shown, width: int) -> list[Row]:
    """What is open, with its bracket in money, and what is working."""
    rows: list[Row] = []
    for held in shown.positions:
        rows += _held(shown, held)
    orders = shown.account.get("orders", ())
    own = {(held["contract"], price) for held in shown.positions for price in (held["stop"], held["target"])}
    for order in orders:
        price = order["stop"] if order["stop"] is not None else order["limit"]
        if (order["contract"], price) in own:
            continue  # told with its position
        side = "buy" if order["side"] > 0 else "sell"
        words = f"{side} {order['size']} {order['contract']} {order['type'].replace('_', ' ')}"
        rows.append([Span(words), Span(f" {_price(order['contract'], price)}  {order['status']}", "dim")])
    return rows or [[Span("flat, nothing working", "dim")] if shown.account else [Span("no account yet", "dim")]]


def _price(symbol: str, ticks: int | None) -> str:
    if ticks is None:
        return "at market"
    return PRODUCTS[symbol].format(ticks) if symbol in PRODUCTS else str(ticks)


def _held(shown: Shown, held: Mapping[str, Any]) -> list[Row]:
    symbol, side, size = held["contract"], held["side"], held["size"]
    words = f"{'LONG' if side > 0 else 'SHORT'} {size}"
    first: Row = [Span(words, "!up" if side > 0 else "!down"), Span(f" {symbol}", "!text")]
    first += [Span(f" @ {_price(symbol, round(held['entry']))}  "), usd(shown.open_cents(held))]
    second: Row = []
    value = PRODUCTS[symbol].tick_value_cents if symbol in PRODUCTS else 0
    for name, kind in (("SL", "stop"), ("TP", "target")):
        if held[kind] is not None:
            gain = side * (held[kind] * size - held["entry_price_size"]) * value
            second += [Span(f"{name} ", "dim"), Span(_price(symbol, held[kind])), Span(" "), _rounded(gain), Span("  ")]
    if not held["protected"]:
        second.append(Span("NOT PROTECTED", "!bad"))
    rows = [first, second] if second else [first]
    if held.get("opened_ns"):
        rows.append([Span(f"held {signed((shown.market_ns - held['opened_ns']) / NS_PER_MIN)}", "dim")])
    return rows


def _rounded(cents: int) -> Span:
    text = money(round(cents / 100)).removesuffix(".00")
    return Span(text, "good" if cents > 0 else "bad" if cents < 0 else "text")


def zones(shown: Shown, width: int) -> list[Row]:
    """The zones that are drawn, nearest to the price first."""
    rows: list[Row] = []
    for zone in shown.zones:
        name = "demand" if zone.side > 0 else "supply"
        row = [Span(f"{name} ", "demandtext" if zone.side > 0 else "supplytext")]
        row += [Span(f"{shown.price(zone.bottom)}–{shown.price(zone.top)}")]
        row += [Span(f" {NAMES[zone.timeframe_min]:>3} {zone.kind} {zone.score:.0f} ", "dim")]
        rows.append([*row, Span(zone.state.lower(), "dim" if zone.tested else "text")])
    return rows or [[Span("none drawn (z chooses)", "dim")]]


def latency(shown: Shown, width: int) -> list[Row]:
    """p50 and p99 of the hops from the frame to the order, and how the first one went lately."""
    told = shown.status.get("latency_ns", {})
    rows: list[Row] = []
    if shown.latency:
        values = [p99 for _, p99 in shown.latency][-(width - 14) :]
        low, high = min(values), max(values)
        bars = "".join(SPARKS[(value - low) * 7 // max(1, high - low)] for value in values)
        rows.append([Span("p99 ", "dim"), Span(bars, "accent"), Span(f" {duration(values[-1])}")])
    for hop, name in HOPS:
        if hop in told:
            p50, p99 = duration(told[hop]["p50"]), duration(told[hop]["p99"])
            rows.append([Span(f"{name:<18}", "dim"), Span(f"{p50:>8}"), Span(f"  p99 {p99:>8}", "dim")])
    return rows or [[Span("appear with the first ticks", "dim")]]


def news(shown: Shown, width: int) -> list[Row]:
    """The next events and what happens to entries."""
    told = shown.status.get("news")
    if not told:
        return [[Span("this run follows no news", "dim")]]
    rows: list[Row] = []
    if told["stale"]:
        rows.append([Span("the calendar is too old: see tbot news", "warn")])
    action = told["actions"].get(shown.symbol, "none")
    if action != "none":
        rows.append([Span(f"{shown.symbol}: {action.replace('_', ' ')}", "!warn")])
    for event in told["next"]:
        at = datetime.fromisoformat(event["time"]).astimezone(UTC)
        minutes = at.timestamp() / 60 - shown.market_ns / NS_PER_MIN
        when = f"{at.astimezone(shown.choice.zone):%H:%M} in {signed(minutes)}"
        title = plain(str(event["title"]), 60)
        rows.append([Span(f"{when}  "), Span(f"{event['currency']} {title}", "dim")])
    return rows or [[Span("nothing scheduled", "dim")]]


def processes(shown: Shown, width: int) -> list[Row]:
    """Every process with its state; contracts with their rate and lag, which an engine that is gone has no more."""
    rows: list[Row] = []
    found = list(shown.status.get("processes", {}).items())
    for name, process in found:
        state = process["state"].lower()
        if (name, state) == ("sim", "starting"):
            state = "-"  # the embedded gateway does not beat
        state = "gone" if shown.gone and not shown.status.get("ended") else state
        good = state in ("ok", "-")
        note = f"{process['restarts']} restarts" if process["restarts"] else ""
        rows.append([
            Span("● " if good else "○ ", "good" if good else "warn"), Span(f"{name:<12}"),
            Span(f"{state:<9}", "dim" if good else "warn"), Span(_work(shown, name), "dim"),
            Span(note, "warn"),
        ])  # fmt: skip
    return rows or [[Span("none yet", "dim")]]


def _work(shown: Shown, name: str) -> str:
    contracts = shown.status.get("contracts", {})
    if name == "feed" and not shown.gone:
        return f"{sum(contract.get('ticks_per_s', 0) for contract in contracts.values()):.0f}/s "
    if name == "executor":
        return f"{plural(shown.status.get('fills', 0), 'fill')} "
    own = contracts.get(name.removeprefix("worker-"))
    if own is None:
        return f"{plural(len(contracts), 'contract')} " if name == "worker-0" else ""
    lost = f"lost {own['lost']} " if own.get("lost") else ""
    lag = "" if shown.gone else f", lag {own.get('lag', 0)}"
    return f"{plural(sum(own.get('zones', {}).values()), 'zone')}{lag} {lost}"


def today(shown: Shown, width: int) -> list[Row]:
    """Round trips of the account in figures, and its running result as a line."""
    account = shown.account
    if not account:
        return [[Span("no account yet", "dim")]]
    rate = account["win_rate"]
    words = f"{plural(account['trades'], 'trade')} · won {'–' if rate is None else f'{rate:.0%}'}"
    words += f" · PF {profit_factor(account['profit_factor'], account['wins'])}"
    rows: list[Row] = [[Span(words)]]
    number = shown.choice.account
    results = [trip.net_cents for trip in reversed(shown.trades) if str(trip.account) == number]
    if results:
        total, line = 0, [0]
        for one in results:
            total += one
            line.append(total)
        low, high = min(line), max(line)
        bars = "".join(SPARKS[(value - low) * 7 // max(1, high - low)] for value in line[-(width - 14) :])
        rows.append([Span(bars, "good" if total >= 0 else "bad"), Span(" "), usd(total)])
    denied = sum(account["denials"].values())
    rows.append([Span(f"{plural(account['intents'], 'signal')} taken, {denied} denied", "dim")])
    return rows


# --------------------------------------------------------------------------------------------------------------- lists
def signals(shown: Shown, width: int, height: int) -> list[Row]:
    """The newest signals of all contracts, newest first."""
    rows: list[Row] = []
    for row in shown.signals[:height]:
        price = PRODUCTS[row.contract].format if row.contract in PRODUCTS else str
        long = row.side > 0
        line = [Span(f"{short_clock(row.decided_ns, shown.choice.zone)} ", "dim"), Span(f"{row.contract:<4}", "!text")]
        line += [Span("▲ long  " if long else "▼ short ", "up" if long else "down"), Span(f"{row.score:>3.0f}  ")]
        line += [Span(f"{price(row.entry)} SL {price(row.stop)} TP {price(row.target)}  ", "dim")]
        style = {"+": "good", "−": "bad", "d": "warn"}.get(row.outcome[:1], "text")
        line += [Span(f"{row.outcome}  ", style), Span(plain(row.reason, 120), "dim")]
        rows.append(fitted(line, width))
    return rows or [fitted([Span("no signals yet", "dim")], width)]


def events(shown: Shown, width: int, height: int) -> list[Row]:
    """What happened, newest last; alarms first of all."""
    rows: list[Row] = [
        fitted([Span("ALARM   ", "!bad"), Span(f"{plain(str(alarm['text']), 200)} ({alarm['code']})", "bad")], width)
        for alarm in shown.status.get("alarms", ())
    ]
    room = max(0, height - len(rows))
    for event in list(shown.events)[-room:] if room else ():
        line = [Span(f"{short_clock(event.now_ns, shown.choice.zone)} ", "dim")]
        line += [Span(f"{event.kind:<7}", KINDS.get(event.kind, "dim")), Span(f"{event.contract:<4} ", "!text")]
        rows.append(fitted([*line, Span(plain(event.text, 200))], width))
    return rows[:height] or [fitted([Span("nothing yet", "dim")], width)]


def title(name: str, width: int, note: str = "") -> Row:
    """The heading of a panel: its name on a thin line."""
    row: Row = [Span("─ ", "faint"), Span(name, "!dim"), Span(" ", "faint")]
    if note:
        row.append(Span(f"{note} ", "faint"))
    return [*row, Span("─" * max(0, width - width_of(row)), "faint")]


PANELS: Sequence[tuple[str, Any, int]] = (  # name, rows, most rows on a tall screen
    ("Risk", risk, 5),
    ("Position", position, 6),
    ("Zones", zones, 6),
    ("Today", today, 3),
    ("News", news, 3),
    ("Latency p50", latency, 5),
    ("Processes", processes, 9),
)
