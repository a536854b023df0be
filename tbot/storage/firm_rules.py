"""Reads the firm's numbers from TOML: those of one account stage and size that are valid on one day.

The packaged table is `tbot/data/topstep.toml`; every number in it has a source, a day of reading, and the first day for
which it is valid. What the owner sets may only tighten it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

from tbot.domain.contracts import PRODUCTS
from tbot.domain.toml_text import toml_text, toml_values
from tbot.errors import ConfigError
from tbot.risk.firm import STAGES, FirmRules, Stage, tightened

SIZES = ("50K", "100K", "150K")
MARKS = ("official", "conflicting", "unconfirmed", "ours")
MICROS_PER_MINI = 10
_KEYS = {"name", "stages", "products", "values", "source", "read_on", "valid_from", "mark", "note"}

# One whole number for each size.
_NUMBERS = (
    "start_usd",
    "max_loss_usd",
    "lock_above_floor_usd",
    "ban_above_floor_usd",
    "target_usd",
    "day_profit_stop_usd",
    "daily_loss_usd",
    "max_minis",
    "best_day_percent",
    "entries_per_product",
    "actions_per_minute",
)
_STEPS = "scaling_minis"  # steps [balance in dollars above which it holds, minis]; the first holds below all others
_PRODUCTS = ("product_contracts", "cpi_contracts")  # most contracts of each product of the row
# Written down because they bind a person or another part; no rule of the Desk reads them.
_NOTED = ("fee_standard_usd", "fee_no_activation_usd", "micros_per_mini", "min_holding_s")


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    stages: frozenset[str]
    products: tuple[str, ...]
    values: Mapping[str, Any]
    valid_from: date


def load_rules(
    stage: Stage,
    size: str,
    day: date,
    *,
    daily_limit: bool = False,
    owner: Mapping[str, object] | None = None,
    path: Path | None = None,
) -> FirmRules:
    """The rules of an account on a day.

    Parameters
    ----------
    stage : practice, combine, or funded
    size : 50K, 100K, or 150K
    daily_limit : whether the account was bought with the firm's daily loss limit
    owner : FirmRules fields that the owner sets, in cents; they may only tighten
    path : None for the packaged table

    Raises ConfigError when the table is missing, damaged, or tells no number for this day, or when an owner's number
    is looser than the firm's.
    """
    where = str(path) if path else "the packaged table of the firm's rules"
    if stage not in STAGES or size not in SIZES:
        raise ConfigError(f"no such account: {size} {stage}; sizes: {', '.join(SIZES)}; stages: {', '.join(STAGES)}")
    source = path or resources.files("tbot.data").joinpath("topstep.toml")
    try:
        document = toml_values(toml_text(source.read_bytes()))
        if sorted(document) != ["rule"] or not isinstance(document["rule"], list):
            raise ValueError("it must hold [[rule]] tables and nothing else")
        rows = [_row(raw, number) for number, raw in enumerate(document["rule"], start=1)]
        rules = _rules(_valid(rows, stage, day), stage, size, daily_limit=daily_limit)
    except (OSError, ValueError, TypeError, ConfigError) as error:  # bad TOML and bad UTF-8 are ValueErrors
        raise ConfigError(f"{where}: {error}") from error
    return tightened(rules, owner or {})


def _valid(rows: list[_Row], stage: str, day: date) -> dict[tuple[str, str], _Row]:
    """The newest row of each (name, product) that holds for the stage on the day; product "" where it has none."""
    found: dict[tuple[str, str], _Row] = {}
    for row in rows:
        if stage not in row.stages or row.valid_from > day:
            continue
        for product in row.products or ("",):
            held = found.get((row.name, product))
            if held is not None and held.valid_from == row.valid_from:
                raise ValueError(f"two rows {row.name} {product} of {stage} are valid from {row.valid_from}")
            if held is None or held.valid_from < row.valid_from:
                found[row.name, product] = row
    return found


def _rules(found: dict[tuple[str, str], _Row], stage: Stage, size: str, *, daily_limit: bool) -> FirmRules:
    def number(name: str) -> int:
        if (name, "") not in found:
            raise ValueError(f"no {name} of {stage} is valid on that day")
        value = found[name, ""].values[size]
        assert isinstance(value, int)
        return value

    def contracts(name: str) -> tuple[tuple[str, int], ...]:
        return tuple(sorted((product, row.values[size]) for (of, product), row in found.items() if of == name))

    steps = found[_STEPS, ""].values[size] if (_STEPS, "") in found else []
    return FirmRules(
        stage=stage,
        start_cents=100 * number("start_usd"),
        max_loss_cents=100 * number("max_loss_usd"),
        lock_above_floor_cents=100 * number("lock_above_floor_usd"),
        ban_above_floor_cents=100 * number("ban_above_floor_usd"),
        target_cents=100 * number("target_usd"),
        day_profit_stop_cents=100 * number("day_profit_stop_usd"),
        max_micros=MICROS_PER_MINI * number("max_minis"),
        scaling=tuple((100 * above, MICROS_PER_MINI * minis) for above, minis in steps),
        daily_loss_cents=100 * number("daily_loss_usd") if daily_limit else 0,
        best_day_percent=number("best_day_percent"),
        entries_per_product=number("entries_per_product"),
        actions_per_minute=number("actions_per_minute"),
        product_limits=contracts("product_contracts"),
        cpi_limits=contracts("cpi_contracts"),
    )


# ---------------------------------------------------------------------------------------------------- one row
def _row(raw: object, number: int) -> _Row:
    if not isinstance(raw, dict):
        raise ValueError(f"rule {number} is no table")
    name = raw.get("name")
    if name not in (*_NUMBERS, _STEPS, *_PRODUCTS, *_NOTED):
        raise ValueError(f"rule {number}: unknown name {name!r}")
    where = f"rule {number} ({name})"
    for key in sorted(set(raw) - _KEYS):
        raise ValueError(f"{where}: unknown key {key!r}")
    stages = raw.get("stages")
    if not isinstance(stages, list) or not stages or not set(stages) <= set(STAGES):
        raise ValueError(f"{where}: stages is {stages!r}; allowed: a list of {', '.join(STAGES)}")
    products = raw.get("products", [])
    listed = isinstance(products, list) and set(products) <= set(PRODUCTS)
    if not listed or bool(products) != (name in _PRODUCTS):
        raise ValueError(f"{where}: products is {products!r}; {' and '.join(_PRODUCTS)} need product symbols")
    if not isinstance(raw.get("source"), str) or not raw["source"] or raw.get("mark") not in MARKS:
        raise ValueError(f"{where}: source (text) and mark ({', '.join(MARKS)}) are needed")
    for key in ("read_on", "valid_from"):
        if type(raw.get(key)) is not date:
            raise ValueError(f"{where}: {key} is {raw.get(key)!r}; it must be a date like 2026-09-13")
    return _Row(name, frozenset(stages), tuple(products), _values(raw.get("values"), name, where), raw["valid_from"])


def _values(values: object, name: str, where: str) -> dict[str, Any]:
    if not isinstance(values, dict) or sorted(values) != sorted(SIZES):
        raise ValueError(f"{where}: values must hold one entry for each of {', '.join(SIZES)}")
    for size, value in values.items():
        good = _is_steps(value) if name == _STEPS else _is_count(value)
        if not good:
            raise ValueError(f"{where}: the value of {size} is {value!r}")
    return values


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= 10_000_000


def _is_steps(value: object) -> bool:
    """[[0, 2], [1500, 3], ...]: balances and minis rise."""
    if not isinstance(value, list) or not value:
        return False
    if not all(isinstance(step, list) and len(step) == 2 and all(map(_is_count, step)) for step in value):
        return False
    return all(low[0] < high[0] and low[1] <= high[1] for low, high in pairwise(value))
