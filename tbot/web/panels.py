"""The page's panels as HTML: pure functions of one look at the engine. Meaning is never carried by colour alone."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tbot.dashboard.view import HOPS, clock_text, duration, money
from tbot.domain.contracts import PRODUCTS
from tbot.domain.words import plural, profit_factor
from tbot.web.markup import Html, div, join, span, table, tag
from tbot.web.source import DEAD_AFTER_S, Look

Status = Mapping[str, Any]

NO_PRICE_BELOW = -(2**62)  # what "no price yet" looks like in a status
CALM = {"ACTIVE"}
BADGES = ("DEMO", "PAPER", "REPLAY", "LIVE")
PATTERNS_SHOWN = 24
SILENT = {"sim"}  # tells nobody how it does
WAITING = {"STARTING", "RECONCILING", "STOPPING", "STOPPED", "BOOT"}


def price(symbol: str, ticks: Any) -> str:
    """`25,104.25`; a dash when there is none."""
    if not isinstance(ticks, int | float) or ticks < NO_PRICE_BELOW:
        return "–"
    product = PRODUCTS.get(symbol)
    if product is None:
        return f"{ticks:g}"
    return f"{product.to_price(round(ticks)):,.{product.decimals}f}"


def signed(usd: float) -> Html:
    """Money with sign and colour."""
    return span("up" if usd > 0 else "down" if usd < 0 else "", money(usd))


def side(number: int) -> Html:
    """`▲ long`, `▼ short`."""
    return span("up", "▲ long") if number > 0 else span("down", "▼ short")


def state_of(look: Look) -> tuple[str, str]:
    """(state, why) as the page tells it: what the status says, unless nobody stands behind it any more."""
    if not look.status:
        return "NOT RUNNING", "no engine has run here yet; start one with tbot run"
    state, reason = str(look.status.get("state", "")), str(look.status.get("reason", ""))
    if look.status.get("ended"):
        return state, reason or "the engine has ended; what you see is its last word"
    if not look.alive:
        return "GONE", "the engine is gone without a last word; look at the account, or press KILL"
    if look.age_s is not None and look.age_s > DEAD_AFTER_S:
        return "SILENT", f"the engine's status is {look.age_s:.0f} s old: it hangs"
    return state, reason


def header(look: Look, zone: ZoneInfo) -> Html:
    """Badge, state, clock, money."""
    status = look.status
    state, _ = state_of(look)
    badge = status["badge"] if status.get("badge") in BADGES else "–"
    tone = "calm" if state in CALM else "wait" if state in WAITING else "bad"
    speed = status.get("speed", 1)
    fast = f" ×{speed:g}" if isinstance(speed, int | float) and speed not in (0, 1) else ""
    room = min((account["day_room_cents"] for account in _accounts(status)), default=None)
    figures = [
        _figure("Day", signed(status.get("pnl_usd", 0.0))),
        _figure("Open", signed(status.get("open_usd", 0.0))),
        _figure("Room", "–" if room is None else money(room / 100).lstrip("+"), "left today before the daily stop"),
    ]
    return join(
        span(f"badge badge-{badge.lower()}", badge),
        span(f"state {tone}", span("dot"), state),
        span("clock", clock_text(int(status.get("market_ns", 0)), zone), fast),
        div("figures", *figures) if status else "",
    )


def _figure(name: str, value: object, title: str | None = None) -> Html:
    return span("figure", span("name", name), span("value", value), title=title)


def banner(look: Look) -> Html:
    """Why it does not trade, and what a person must look at; empty when all is well."""
    state, reason = state_of(look)
    lines: list[Html] = []
    if state not in CALM and reason:
        codes = " ".join(map(str, look.status.get("reasons", []))) if look.alive else ""
        tone = "note" if state in WAITING else "warn"
        lines.append(div(f"line {tone}", tag("b", state), " ", reason, " ", span("code", codes) if codes else ""))
    for alarm in look.status.get("alarms", []) if look.alive else []:
        if str(alarm.get("text")) not in reason:
            lines.append(div("line warn", alarm.get("text", ""), " ", span("code", alarm.get("code", ""))))
    warnings = [*look.status.get("warnings", []), *look.status.get("conditions", {}).get("warnings", [])]
    lines += [div("line note", warning) for warning in warnings] if look.alive else []
    return join(*lines)


def _accounts(status: Status) -> list[dict[str, Any]]:
    return list(status.get("accounts", {}).values())


def contracts(look: Look, chosen: str) -> Html:
    """One button a contract: name, last price, whether it lives."""
    cells = []
    for symbol, contract in look.status.get("contracts", {}).items():
        trouble = contract.get("barred") or contract.get("hole") or ("" if contract.get("live") else "warming up")
        dot = "ok" if not trouble and contract.get("feed") == "ok" else "bad" if contract.get("barred") else "wait"
        cells.append(
            tag(
                "button",
                span(f"dot {dot}"),
                tag("b", symbol),
                span("num", price(symbol, contract.get("last_price"))),
                cls="chip on" if symbol == chosen else "chip",
                type="button",
                title=trouble or (f"{contract.get('ticks_per_s', 0):.0f} ticks a second" if look.alive else None),
                data_symbol=symbol,
                aria_pressed="true" if symbol == chosen else "false",
            )
        )
    return join(*cells)


def risk(look: Look) -> Html:
    """Each account against its own limits and the firm's."""
    cards = []
    for number, account in look.status.get("accounts", {}).items():
        day, left = account["day_pnl_cents"], account["day_room_cents"]
        limit = max(1, left - day)
        used = max(0, -day)
        rows = [
            _bar("Daily loss used", used / limit, f"{_usd(used)} / {_usd(limit)}"),
            *_firm_bars(account.get("firm")),
        ]
        state = account["state"]
        name = span("acc", account["name"], title=f"account {number}")
        entries = plural(account["entries_today"], "entry", "entries")
        streak = f"{account['loss_streak']} lost in a row · {entries} today"
        cards.append(
            div(
                "account",
                div("top", name, span("tag ok" if state in CALM else "tag warn", state)),
                *rows,
                div("foot", span("", streak), span("num", _usd(account["balance_cents"]))),
            )
        )
    return join(*cards) if cards else _empty("no account yet")


def _firm_bars(firm: Mapping[str, Any] | None) -> list[Html]:
    if not firm or not firm.get("known"):
        return []
    rows = []
    to_floor, start, floor = firm["to_floor_cents"], firm["start_cents"], firm["floor_cents"]
    room = max(1, (firm.get("high_water_cents") or start) - floor)
    share = 1 - max(0.0, min(1.0, to_floor / room))
    rows.append(_bar("To the loss floor", share, f"{_usd(to_floor)} left", f"floor {_usd(floor)}"))
    if firm.get("target_cents"):
        profit = firm["profit_cents"]
        done = max(0.0, profit / max(1, firm["target_cents"]))
        rows.append(_bar("Profit target", done, f"{_usd(profit)} / {_usd(firm['target_cents'])}", good=True))
    return rows


def _bar(name: str, share: float, words: str, title: str | None = None, *, good: bool = False) -> Html:
    share = max(0.0, min(1.0, share))
    tone = "good" if good else "low" if share < 0.5 else "mid" if share < 0.8 else "high"
    return div(
        "gauge",
        div("row", span("", name), span("num", words)),
        div("track", tag("i", cls=f"fill {tone}", style=f"width:{share * 100:.1f}%")),
        title=title,
    )


def _usd(cents: Any) -> str:
    return "–" if cents is None else money(cents / 100).lstrip("+")


def _empty(words: str) -> Html:
    return div("empty", words)


def positions(look: Look) -> Html:
    """What is open and what is working."""
    rows: list[list[object]] = []
    several = len(_accounts(look.status)) > 1
    for account in _accounts(look.status):
        for held in account["positions"]:
            symbol = held["contract"]
            guard = span("tag ok", "protected") if held["protected"] else span("tag bad", "NOT PROTECTED")
            rows.append(
                [
                    join(tag("b", symbol), span("sub", account["name"]) if several else ""),
                    side(held["side"]), held["size"], price(symbol, held["entry"]), price(symbol, held["stop"]),
                    price(symbol, held["target"]), signed((held["unrealised_cents"] or 0) / 100), guard,
                ]
            )  # fmt: skip
    names = ("entry", "stop", "target", "open P&L")
    heads = [("Position", ""), ("", ""), ("size", "num"), *((name, "num") for name in names), ("", "")]
    held_table = table(heads, rows) if rows else _empty("flat: no position is open")
    return join(held_table, _orders(look.status))


def _orders(status: Status) -> Html:
    rows: list[list[object]] = []
    for account in _accounts(status):
        for order in account["orders"]:
            symbol = order["contract"]
            at = [price(symbol, order[name]) for name in ("limit", "stop") if order[name] is not None]
            way = "buy" if order["side"] > 0 else "sell"
            done = f"{order['filled']}/{order['size']}"
            rows.append(
                [tag("b", symbol), f"{order['type']} {way}", done, " ".join(at) or "market", order["status"]]
            )  # fmt: skip
    if not rows:
        return Html("")
    heads = [("Working order", ""), ("", ""), ("filled", "num"), ("price", "num"), ("state", "")]
    return table(heads, rows, "second")


def news(look: Look) -> Html:
    """The next releases and what happens then."""
    found = look.status.get("news")
    if not found:
        return _empty("no news source is followed")
    barred = [symbol for symbol, action in found.get("actions", {}).items() if action != "none"]
    lines = [
        div(
            "news",
            span("when num", str(event["time"])[5:16].replace("T", " ")),
            span(f"tag {'bad' if event['impact'] == 'High' else 'warn'}", event["impact"]),
            span("what", event["currency"], " ", event["title"]),
        )
        for event in found.get("next", [])
    ]
    if found.get("stale"):
        lines.insert(0, div("line warn", "the calendar is out of date: no entries where news matters"))
    if barred:
        lines.insert(0, div("line warn", "news now: ", ", ".join(barred)))
    return join(*lines) if lines else _empty("nothing of weight is scheduled")


def latency(look: Look) -> Html:
    """Median and tail of each hop from the exchange's frame to the answered order."""
    rows: list[list[object]] = []
    for hop, name in HOPS:
        figures = look.status.get("latency_ns", {}).get(hop)
        if figures:
            rows.append([name, *(duration(figures[key]) for key in ("p50", "p99", "max"))])
    if not rows:
        return _empty("figures come with the first ticks")
    return table([("hop", ""), *((key, "num") for key in ("p50", "p99", "max"))], rows, "tight")


def processes(look: Look) -> Html:
    """Who works, and how fresh its data is."""
    rows: list[list[object]] = []
    told = look.status.get("contracts", {})
    for name, process in look.status.get("processes", {}).items():
        symbol = name.removeprefix("worker-")
        contract = told.get(symbol) if name.startswith("worker-") else None
        state = "" if name in SILENT else str(process["state"])
        if state and not look.alive and not look.status.get("ended"):
            state = "gone"
        good = look.alive and state in ("OK", "")
        figures = ""
        if contract is not None and look.alive:  # a rate is of now or of nothing
            age = contract.get("last_tick_age_s")
            figures = f"{contract.get('ticks_per_s', 0):.0f}/s" + ("" if age is None else f" · {age:.1f} s")
        times = process["restarts"]
        again = f" · {plural(times, 'restart')}" if times else ""
        rows.append([span(f"dot {'ok' if good else 'wait'}"), name, state.lower() + again, figures])
    return table([("", ""), ("process", ""), ("", ""), ("", "num")], rows, "tight bare") if rows else _empty("none")


def patterns(look: Look) -> Html:
    """How each kind of pattern did; nothing at all when nobody keeps count."""
    if not look.patterns:
        return Html("")
    best = sorted(look.patterns, key=lambda row: -row["n"])[:PATTERNS_SHOWN]
    rows: list[list[object]] = [
        [
            join(tag("b", row["contract"]), f" {row['kind']} {row['timeframe']}"), row["n"],
            "–" if row["win_rate"] is None else f"{row['win_rate']:.0%}",
            "–" if row["expectancy_r"] is None else f"{row['expectancy_r']:+.2f} R", _weight(row),
        ]
        for row in best
    ]  # fmt: skip
    names = ("outcomes", "won", "expected", "weight")
    return table([("pattern", ""), *((name, "num") for name in names)], rows, "tight")


def _weight(row: dict[str, Any]) -> str:
    """The one in force, and what all outcomes so far would give where that shows."""
    now, then = f"{row['weight_before']:.2f}", f"{row['weight_after']:.2f}"
    return now if now == then else f"{now} → {then}"


def summary(look: Look) -> Html:
    """The day in five figures."""
    status = look.status
    if not status:
        return Html("")
    trips, wins, factor = status.get("round_trips", 0), status.get("wins", 0), status.get("profit_factor")
    denied = sum(status.get("denials", {}).values())
    cells = [
        ("Trades", str(trips)),
        ("Won", f"{wins / trips:.0%}" if trips else "–"),
        ("Profit factor", profit_factor(factor, wins)),
        ("Drawdown", money(-status.get("drawdown_usd", 0.0))),
        ("Taken", str(status.get("intents", 0))),
        ("Denied", str(denied)),
    ]
    return join(*(_figure(name, value) for name, value in cells))


def day_time(ns: int, zone: ZoneInfo) -> str:
    """`16:33:02`."""
    return f"{datetime.fromtimestamp(ns // 1_000_000_000, zone):%H:%M:%S}" if ns else "–"
