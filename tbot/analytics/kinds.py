"""Kinds of events by the names users type: exact ones (OB_TESTED) and families (ob: a block and its whole life)."""

from collections.abc import Iterable

from tbot.errors import ConfigError
from tbot_ext.records import EventCode

_LIFE = {
    "ob": "OB",
    "fvg": "FVG",
    "breaker": "BREAKER",
    "mitigation": "MITIGATION",
    "pool": "POOL",
    "level": "LEVEL",
}
_SINGLE = {
    "bos": ("BOS",),
    "choch": ("CHOCH",),
    "mss": ("MSS",),
    "structure": ("BOS", "CHOCH", "MSS"),
    "swing": ("SWING_HIGH", "SWING_LOW"),
    "gap": ("OPENING_GAP",),
    "sweep": ("SWEEP",),
    "run": ("RUN",),
    "liquidity": ("POOL", "POOL_JOINED", "POOL_EXPIRED", "SWEEP", "RUN"),
    "day": ("DAY",),
    "week": ("WEEK",),
    "asia": ("ASIA",),
    "london": ("LONDON",),
    "new_york": ("NEW_YORK",),
    "opening": ("OPENING_15", "OPENING_30"),
    "period": (
        "DAY", "WEEK", "ASIA", "LONDON", "NEW_YORK", "OPENING_15", "OPENING_30", "PERIOD_HIGH_BROKEN",
        "PERIOD_LOW_BROKEN",
    ),
}  # fmt: skip
# A bar's own event is for the pipeline; tables of patterns are made without it.
KINDS: tuple[EventCode, ...] = tuple(code for code in EventCode if code not in (EventCode.NONE, EventCode.BAR))


def _life(prefix: str) -> frozenset[EventCode]:
    return frozenset(code for code in KINDS if code.name == prefix or code.name.startswith(prefix + "_"))


FAMILIES: dict[str, frozenset[EventCode]] = {
    **{name: _life(prefix) for name, prefix in _LIFE.items()},
    **{name: frozenset(EventCode[kind] for kind in kinds) for name, kinds in _SINGLE.items()},
}


def parse_kinds(text: str | Iterable[str] | None) -> frozenset[EventCode]:
    """`ob,fvg,SWEEP` as the set of kinds; nothing means all of them. ConfigError names what is unknown, with the list.

    Upper or lower case, `-` or `_`: `ob` is a family here although a block's birth is called OB too.
    """
    words = text.split(",") if isinstance(text, str) else list(text or ())
    chosen: set[EventCode] = set()
    for word in (word.strip() for word in words):
        name = word.lower().replace("-", "_")
        if name in FAMILIES:
            chosen |= FAMILIES[name]
        elif name.upper() in EventCode.__members__ and EventCode[name.upper()] in KINDS:
            chosen.add(EventCode[name.upper()])
        elif name:
            exact = ", ".join(code.name for code in KINDS)
            raise ConfigError(f"unknown kind {word!r}; families are {', '.join(FAMILIES)}; single kinds are {exact}")
    return frozenset(chosen) if chosen else frozenset(KINDS)
