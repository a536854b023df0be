"""Which delivery month of a product the simulated venue lists as active on a date.

The venue switches to the month with the highest volume and publishes no calendar; the dates here are the usual volume
rolls (projectx-gateway 9.3) and agree with the list that was recorded on 2026-08-19. Exchange holidays are not looked
at, so a date can be a business day off; where it matters, `rolls` says the date of a month.
"""

from collections.abc import Callable, Mapping
from datetime import date, timedelta

from tbot.domain.contracts import MONTH_CODES, PRODUCTS, Contract, Product, contract_from_broker_id, parse_broker_id

_FRIDAY, _SATURDAY = 4, 5
_NO_ROLLS: Mapping[str, date] = {}


def front_contract(product: Product, day: date, rolls: Mapping[str, date] = _NO_ROLLS) -> Contract:
    """The active month of a product on a date.

    `rolls` overrules the usual date of single months: contract id -> first day on which it is no longer active.
    """
    year, month = day.year, day.month
    while True:
        if MONTH_CODES[month - 1] in product.cycle:
            contract = _contract(product, year, month)
            if day < rolls.get(contract.broker_id, _roll_date(product, year, month)):
                return contract
        year, month = _next_month(year, month)


def next_contract(contract: Contract) -> Contract:
    """The month that becomes active after this one."""
    _, code, year = parse_broker_id(contract.broker_id)
    month = MONTH_CODES.index(code) + 1
    while True:
        year, month = _next_month(year, month)
        if MONTH_CODES[month - 1] in contract.product.cycle:
            return _contract(contract.product, year, month)


def was_listed(product: Product, month_code: str) -> bool:
    """Whether the product has such a delivery month at all, active or skipped by volume."""
    return month_code in product.cycle or month_code in product.quiet_months


def tape_contract(name: str, day: date) -> Contract:
    """The contract that a tape calls ES, ESM8 or CON.F.US.EP.M18; KeyError or ValueError when it is none of these.

    The year of a one-digit month (M8) is the first one from the year of `day` on that ends in that digit.
    """
    if name.startswith("CON."):
        return contract_from_broker_id(name)
    if name in PRODUCTS:
        return front_contract(PRODUCTS[name], day)
    symbol, code, digit = name[:-2], name[-2:-1], name[-1:]
    if symbol not in PRODUCTS or code not in MONTH_CODES or not digit.isdigit():
        raise ValueError(f"{name!r} names no contract of the product table")
    year = day.year + (int(digit) - day.year) % 10
    return contract_from_broker_id(f"CON.F.US.{PRODUCTS[symbol].root}.{code}{year % 100:02d}")


def _contract(product: Product, year: int, month: int) -> Contract:
    return contract_from_broker_id(f"CON.F.US.{product.root}.{MONTH_CODES[month - 1]}{year % 100:02d}")


def _next_month(year: int, month: int) -> tuple[int, int]:
    return (year + 1, 1) if month == 12 else (year, month + 1)


# ------------------------------------------------------------------------------------------------------- roll dates
# Each rule gives the first day on which a delivery month is no longer the active one.
_Rule = Callable[[int, int], date]


def _friday(number: int, days_before: int) -> _Rule:
    """Some days before the n-th Friday of the delivery month."""

    def rule(year: int, month: int) -> date:
        first = date(year, month, 1)
        offset = (_FRIDAY - first.weekday()) % 7 + 7 * (number - 1)
        return first + timedelta(days=offset - days_before)

    return rule


def _month_before(day: int) -> _Rule:
    """A day of the month before delivery."""

    def rule(year: int, month: int) -> date:
        return date(year - 1, 12, day) if month == 1 else date(year, month - 1, day)

    return rule


def _crude(year: int, month: int) -> date:
    """Last trade: 3 business days before the 25th of the month before; volume leaves about 2 earlier."""
    last_day = _business_days_before(_month_before(26)(year, month), 1)
    return _business_days_before(last_day, 3 + 2)


def _gas(year: int, month: int) -> date:
    """Last trade: 3 business days before the delivery month; volume leaves about 2 earlier."""
    return _business_days_before(date(year, month, 1), 3 + 2)


def _bitcoin(year: int, month: int) -> date:
    """The Monday before the last Friday of the month."""
    last = date(*_next_month(year, month), 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - _FRIDAY) % 7 + 4)


def _business_days_before(day: date, count: int) -> date:
    while count:
        day -= timedelta(days=1)
        count -= day.weekday() < _SATURDAY
    return day


_QUARTERLY, _CURRENCIES = _friday(3, 4), _friday(3, 7)
_LATE, _MIDDLE = _month_before(25), _month_before(15)
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("NQ", "ES", "YM", "RTY"), _QUARTERLY),
    **dict.fromkeys(("6E", "6J", "6B", "6C", "6S", "6A", "6M", "6N"), _CURRENCIES),
    **dict.fromkeys(("GC", "SI", "HG", "PL", "ZT", "ZF", "ZN", "TN", "ZB", "UB", "HE", "LE"), _LATE),
    **dict.fromkeys(("RB", "HO", "ZC", "ZW", "ZS", "ZM", "ZL"), _MIDDLE),
    **dict.fromkeys(("MBT", "MET"), _bitcoin),
    "CL": _crude,
    "NG": _gas,
    "NKD": _friday(2, 4),
}
_DAY_EARLIER = {"MCL", "QM", "MNG", "QG"}  # they stop trading a business day before the contract they follow


def _roll_date(product: Product, year: int, month: int) -> date:
    """The first day on which a delivery month is no longer the active one, by the usual rule."""
    day = _RULES[product.family](year, month)
    return _business_days_before(day, 1) if product.symbol in _DAY_EARLIER else day
