"""The page itself: NiceGUI elements around our own panels, one set for each browser; they only display (ruling 25)."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from nicegui import Client, ui
from nicegui.events import GenericEventArguments

from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NAMES, TIMEFRAMES_MIN
from tbot.errors import TbotError
from tbot.gateway.redact import redact
from tbot.web import chart, lists, panels
from tbot.web.actions import Actions
from tbot.web.markup import Html, div, join, span, tag
from tbot.web.routes import static_text
from tbot.web.source import ChartData, Look, Source

DRAW_EVERY_S = 0.5
OLD = div("line warn", tag("b", "OLD"), " this page cannot read the engine's newest status; see tbot status")
log = logging.getLogger(__name__)
TABS = (("positions", "Positions"), ("signals", "Signals"), ("trades", "Trades"), ("journal", "Journal"))


@dataclass
class Shown:
    """What every page has in common."""

    source: Source
    actions: Actions
    zone: ZoneInfo
    life: str  # of the process, for commands that count once
    account: int | None = None  # this one alone


@dataclass
class Wish:
    """What one browser wants to see; it says so over NiceGUI's socket, and nothing else."""

    symbol: str = ""
    timeframe_min: int = 1
    theme: str = "dark"
    visible: bool = True
    narrow: bool = False

    def take(self, said: Any) -> None:
        """Only what is known is taken; a browser can send anything."""
        if not isinstance(said, dict):
            return
        symbol, minutes, theme = (said.get(name) for name in ("symbol", "timeframe", "theme"))
        if isinstance(symbol, str) and symbol in PRODUCTS:
            self.symbol = symbol
        if type(minutes) is int and minutes in TIMEFRAMES_MIN:
            self.timeframe_min = minutes
        if isinstance(theme, str) and theme in chart.PALETTES:
            self.theme = theme
        if isinstance(said.get("visible"), bool):
            self.visible = said["visible"]
        if isinstance(said.get("narrow"), bool):
            self.narrow = said["narrow"]


@dataclass
class Page:
    """One browser's page."""

    shown: Shown
    acts: bool  # this browser may stop the engine
    client: Client
    wish: Wish = field(default_factory=Wish)
    _panels: dict[str, tuple[ui.html, Callable[[Look], Html]]] = field(default_factory=dict)
    _sent: dict[str, object] = field(default_factory=dict)
    _busy: bool = False

    # ------------------------------------------------------------------------------------------------------- building
    def build(self) -> None:
        """Lay the page out and let it begin."""
        ui.add_head_html(f"<style>{static_text('app.css')}</style><script>{static_text('app.js')}</script>")
        ui.add_body_html(f"<script>document.body.dataset.life = '{self.shown.life}'</script>")
        with ui.element("header").classes("top"):
            self._panel("header", lambda look: panels.header(look, self.shown.zone)).classes("status")
            ui.html(_buttons(self.acts), sanitize=False, tag="nav").classes("acts")
        self._panel("banner", panels.banner).classes("banner")
        with ui.element("main").classes("page"):
            with ui.element("div").classes("column"):
                self._market()
                self._lists()
                self._below()
            with ui.element("div").classes("column"):
                self._side()
        self._panel("exposure", self._exposure)
        ui.html(tag("footer", "Charts: Apache ECharts, page: NiceGUI. Served from this machine only; nothing is "
                    "loaded from anywhere else.", cls="bottom"), sanitize=False)  # fmt: skip
        ui.on("tbot_view", self._on_view)
        ui.timer(DRAW_EVERY_S, self._draw)

    def _panel(self, name: str, make: Callable[[Look], Html]) -> ui.html:
        element = ui.html("", sanitize=False)  # everything in it went through markup.py
        self._panels[name] = (element, make)
        return element

    def _market(self) -> None:
        with ui.element("section").classes("card market"):
            with ui.element("div").classes("tools"):
                self._panel("contracts", lambda look: panels.contracts(look, self.wish.symbol)).classes("chips")
                self._panel("frames", lambda _look: _timeframes(self.wish.timeframe_min)).classes("frames")
            colours = chart.PALETTES[self.wish.theme]
            self._candles = ui.echart(chart.frame(colours)).classes("candles").props("data-chart=candles")
            self._panel("legend", lambda _look: _legend(chart.PALETTES[self.wish.theme])).classes("hint")

    def _lists(self) -> None:
        makers = {
            "positions": panels.positions,
            "signals": lambda look: lists.signals(look, self.shown.zone),
            "trades": lambda look: lists.trades(look, self.shown.zone),
            "journal": lambda look: lists.events(look, self.shown.zone),
        }
        with ui.element("section").classes("card"):
            ui.html(_tab_bar(), sanitize=False, tag="nav").classes("tabs")
            for name, _ in TABS:
                self._panel(name, makers[name]).classes(f"pane pane-{name}")

    def _side(self) -> None:
        colours = chart.PALETTES[self.wish.theme]
        with _card("Risk"):
            self._panel("risk", panels.risk)
        with _card("Today"):
            self._panel("summary", panels.summary).classes("summary")
            self._equity = ui.echart(chart.equity((), colours, self.shown.zone)).classes("equity")
            self._equity.props("data-chart=equity")
        with _card("News"):
            self._panel("news", panels.news)
        with _card("Processes"):
            self._panel("processes", panels.processes)

    def _below(self) -> None:
        colours = chart.PALETTES[self.wish.theme]
        with _card("Latency, from the exchange's frame to our order"), ui.element("div").classes("halves"):
            self._latency = ui.echart(chart.latency((), colours)).classes("latency").props("data-chart=latency")
            self._panel("latency", panels.latency)
        with _card("Patterns"):
            self._panel("patterns", panels.patterns).classes("maybe")

    # -------------------------------------------------------------------------------------------------------- drawing
    async def _on_view(self, event: GenericEventArguments) -> None:
        before = (self.wish.theme, self.wish.narrow)
        self.wish.take(event.args)
        if (self.wish.theme, self.wish.narrow) != before:
            self._sent.clear()
            frame = chart.frame(chart.PALETTES[self.wish.theme], narrow=self.wish.narrow)
            self._set_chart(self._candles, "frame", frame, whole=True)
        await self._draw()

    async def _draw(self) -> None:
        """Send what changed; nothing while the page is in the background or its browser is away."""
        if self._busy or not self.wish.visible or not self.client.has_socket_connection:
            return
        self._busy = True
        try:
            look = one_account(await asyncio.to_thread(self.shown.source.look), self.shown.account)
            self._choose(look)
            data = None
            if self.wish.symbol:
                data = await asyncio.to_thread(self.shown.source.chart, self.wish.symbol, self.wish.timeframe_min)
            self._show(look, data)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError, TbotError) as error:
            # A status of another version, say: what is on the screen is old from now on, and says so.
            log.warning("the page cannot show the engine: %s: %s", type(error).__name__, redact(str(error)))
            self._panels["banner"][0].set_content(OLD)
            self._sent.pop("banner", None)
        finally:
            self._busy = False

    def _choose(self, look: Look) -> None:
        """The first contract of the run, until the reader says another; what the run does not have is let go."""
        symbols = list(look.status.get("contracts", {}))
        if symbols and self.wish.symbol not in symbols:
            held = [place["contract"] for account in _accounts(look) for place in account["positions"]]
            self.wish.symbol = next((symbol for symbol in held if symbol in symbols), symbols[0])

    def _show(self, look: Look, data: ChartData | None) -> None:
        for name, (element, make) in self._panels.items():
            html = make(look)
            if self._sent.get(name) != html:
                self._sent[name] = html
                element.set_content(html)
        colours = chart.PALETTES[self.wish.theme]
        if self.wish.symbol:
            held = [place for account in _accounts(look) for place in account["positions"]]
            content = chart.content(
                self.wish.symbol, self.wish.timeframe_min, data, colours, self.shown.zone,
                held=held, signals=look.signals, trades=look.trades,
            )  # fmt: skip
            places = PRODUCTS[self.wish.symbol].decimals
            if self._sent.get("places") != places:
                self._sent["places"] = places
                self._run(f"window.tbot.places = {places}")
            self._set_chart(self._candles, "candles", content)
        self._set_chart(self._equity, "equity", chart.equity(look.trades, colours, self.shown.zone), whole=True)
        self._set_chart(self._latency, "latency_chart", chart.latency(look.trades, colours), whole=True)

    def _set_chart(self, element: ui.echart, name: str, options: dict[str, Any], *, whole: bool = False) -> None:
        data = orjson.dumps(options, option=orjson.OPT_SERIALIZE_NUMPY)
        if self._sent.get(name) == data:
            return
        self._sent[name] = data
        if whole:  # with texts that are functions: NiceGUI makes them so
            element.options.clear()
            element.options.update(options)
            element.update()
        else:
            element.run_chart_method("setOption", orjson.loads(data))

    def _run(self, script: str) -> None:
        self.client.run_javascript(script)

    def _exposure(self, look: Look) -> Html:
        """What a command would act on, for its dialog; and for whom it is."""
        lines: list[Html] = []
        for account in _accounts(look):
            held = [
                join(tag("b", place["contract"]), " ", panels.side(place["side"]), f" {place['size']}  open ",
                     panels.signed((place["unrealised_cents"] or 0) / 100))
                for place in account["positions"]
            ]  # fmt: skip
            count = len(account["orders"])
            working = f"{count or 'no'} working order{'' if count == 1 else 's'}"
            what = [*held, working] if held else [f"no position, {working}"]
            lines += [div("muted", account["name"]), *(div("", part) for part in what)]
        if not lines:
            lines = [div("", "nothing is known to be open here")]
        status = look.status
        mode = status.get("mode") if status.get("mode") in ("live", "paper", "sim") else None
        exposure = div("", *lines, data_exposure=True)
        return div("", exposure, data_run=True, data_mode=mode, data_account=self.shown.account)


def one_account(look: Look, account: int | None) -> Look:
    """The look with one account alone; as it is without a choice."""
    if account is None or not look.status:
        return look
    accounts = {key: value for key, value in look.status.get("accounts", {}).items() if key == str(account)}
    status = {**look.status, "accounts": accounts}
    status["pnl_usd"] = sum(one["day_pnl_cents"] for one in accounts.values()) / 100
    status["open_usd"] = sum(one["unrealised_cents"] for one in accounts.values()) / 100
    trades = [trip for trip in look.trades if trip.account == account]
    return Look(status, look.alive, look.age_s, look.signals, trades, look.events, look.patterns)


def _accounts(look: Look) -> list[dict[str, Any]]:
    return list(look.status.get("accounts", {}).values())


def _card(title: str) -> ui.element:
    card = ui.element("section").classes("card")
    with card:
        ui.html(title, sanitize=False, tag="h3")
    return card


def _buttons(acts: bool) -> Html:
    """Pause, flatten, kill, where this browser may; and the theme."""
    theme = tag("button", "◐", type="button", cls="icon", data_theme="other", title="light or dark",
                aria_label="light or dark")  # fmt: skip
    if not acts:
        return join(span("only", "read-only"), theme)
    names = (("pause", "Pause"), ("resume", "Resume"), ("flatten", "Flatten"), ("kill", "KILL"))
    return join(*(tag("button", words, type="button", data_act=verb, cls=verb) for verb, words in names), theme)


def _timeframes(chosen: int) -> Html:
    return join(
        *(
            tag("button", NAMES[minutes], type="button", data_timeframe=minutes, cls="on" if minutes == chosen else "",
                aria_pressed="true" if minutes == chosen else "false")
            for minutes in TIMEFRAMES_MIN
        )
    )  # fmt: skip


def _legend(colours: Any) -> Html:
    kinds = (
        ("demand", "demand (OB, BB, MB)"), ("supply", "supply"), ("gap_up", "gap up (FVG)"), ("gap_down", "gap down"),
    )  # fmt: skip
    swatches = [
        span("", tag("i", style=f"background:rgba({colours[name]},.25);border-color:rgb({colours[name]})"), words)
        for name, words in kinds
    ]
    return join(*swatches, span("", "dashed: tested"), span("", "▲▼ signals, hollow when not taken"))


def _tab_bar() -> Html:
    return join(
        *(
            tag("button", words, type="button", role="tab", data_go=name, aria_selected="false")
            for name, words in TABS
        )
    )
