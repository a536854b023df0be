"""Colours of the terminal dashboard by name, for dark and light terminals, colour-blind eyes, 16 colours and none.

Meaning never hangs on colour: signs, words, arrows say the same. Where a terminal has no tints (16 colours, NO_COLOR)
zones are hatched instead of shaded, and rising candles are drawn hollow.
"""

from dataclasses import dataclass, field

from rich.style import Style

_DARK = {
    "text": "#d7dde5", "dim": "#8a96a3", "faint": "#4a5560", "grid": "#26303a", "base": "#0f1419", "panel": "#1a232c",
    "up": "#2fb8a6", "down": "#f0615d", "good": "#2fb8a6", "bad": "#f0615d", "warn": "#e8a33d", "accent": "#5cb3ff",
    "white": "#ffffff", "black": "#0b0f13",
    "demand0": "#10211f", "supply0": "#211618",
    "demand1": "#12302f", "demand2": "#164340", "demand3": "#1b5a54",
    "supply1": "#33191c", "supply2": "#4a2226", "supply3": "#652b30",
    "demandtext": "#7fd6ca", "supplytext": "#f5a5a2", "volup": "#1d5f58", "voldown": "#7a3534",
    "demo": "#9aa5b1", "paper": "#5cb3ff", "live": "#ff4d4d", "replay": "#3fc7d6",
}  # fmt: skip
_CB = _DARK | {
    "up": "#5aa9ff", "down": "#ff9a3c", "good": "#5aa9ff", "bad": "#ff9a3c",
    "demand0": "#111d2c", "supply0": "#231a0f",
    "demand1": "#142a45", "demand2": "#1b3c63", "demand3": "#235083",
    "supply1": "#3a2811", "supply2": "#573a15", "supply3": "#774e1a",
    "demandtext": "#a9d1ff", "supplytext": "#ffcd99", "volup": "#28507d", "voldown": "#80511f", "accent": "#c9b6ff",
}  # fmt: skip
_LIGHT = _DARK | {
    "text": "#1d242b", "dim": "#5b6772", "faint": "#a4aeb8", "grid": "#dde3e9", "base": "#fbfcfd", "panel": "#e8edf2",
    "up": "#00796b", "down": "#c62828", "good": "#00796b", "bad": "#c62828", "warn": "#a85f00", "accent": "#0b66c3",
    "white": "#000000", "black": "#ffffff",
    "demand0": "#f1faf8", "supply0": "#fdf4f3",
    "demand1": "#e1f3f0", "demand2": "#c6e9e3", "demand3": "#a6dbd2",
    "supply1": "#fbe6e5", "supply2": "#f6cfcd", "supply3": "#efb2af",
    "demandtext": "#00594f", "supplytext": "#8f1d1d", "volup": "#9fd3cb", "voldown": "#eab0ae",
    "demo": "#5b6772", "paper": "#0b66c3", "live": "#d50000", "replay": "#00838f",
}  # fmt: skip
_ANSI = {
    "text": "default", "dim": "default", "faint": "bright_black", "grid": "bright_black", "base": "default",
    "panel": "default",
    "up": "bright_green", "down": "bright_red", "good": "bright_green", "bad": "bright_red", "warn": "bright_yellow",
    "accent": "bright_cyan", "white": "bright_white", "black": "black",
    "demandtext": "green", "supplytext": "red", "volup": "green", "voldown": "red",
    "demo": "white", "paper": "bright_blue", "live": "bright_red", "replay": "bright_cyan",
}  # fmt: skip


@dataclass(frozen=True)
class Theme:
    """Colours by name; `texture`: tints are not to be had, hatch instead; `hollow`: nor are colours."""

    name: str
    colours: dict[str, str]
    texture: bool = False
    hollow: bool = False
    _made: dict[str, Style] = field(default_factory=dict, repr=False, compare=False)

    def style(self, name: str) -> Style:
        """The style of a name (see `rows`), made once."""
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = self._make(name)
        return found

    def _make(self, name: str) -> Style:
        text, _, back = name.lstrip("!").partition("/")
        reverse = self.texture and back not in ("", "base", "panel")  # a block of colour: a badge, a price tag
        if self.hollow:
            return Style(bold=name.startswith("!") or None, reverse=reverse or back == "panel" or None)
        if reverse:
            return Style(color=self.colours.get(back, "default"), bold=name.startswith("!"), reverse=True)
        return Style(
            color=self.colours.get(text, "default"),
            bgcolor=self.colours.get(back or "base", "default"),
            bold=name.startswith("!"),
        )


THEMES = {"dark": Theme("dark", _DARK), "light": Theme("light", _LIGHT), "cb": Theme("cb", _CB)}
ANSI = Theme("16 colours", _ANSI, texture=True)
MONO = Theme("no colour", {}, texture=True, hollow=True)


def theme_for(name: str, color_system: str | None, no_color: bool) -> Theme:
    """The theme that a terminal can show; `color_system` as rich names it (None: no colour)."""
    if no_color or color_system is None:
        return MONO
    return ANSI if color_system in ("standard", "windows") else THEMES[name]
