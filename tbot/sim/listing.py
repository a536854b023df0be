"""Which delivery month of a product the simulated venue lists as active on a date.

The venue switches to the month with the highest volume and publishes no calendar; the dates here are the usual volume
rolls (projectx-gateway 9.3): quarterly products on the Monday before the third Friday of the delivery month, gold on
the 25th of the month before delivery.
"""

from datetime import date, timedelta

from tbot.domain.contracts import MONTH_CODES, PRODUCTS, Contract, Product, contract_from_broker_id

_GOLD = "GC"
_FRIDAY = 4


def front_contract(product: Product, day: date) -> Contract:
    """The active month of a product on a date."""
    year, month = day.year, day.month
    while True:
        code = MONTH_CODES[month - 1]
        if code in product.cycle and day < _roll_date(product, year, month):
            return contract_from_broker_id(f"CON.F.US.{product.root}.{code}{year % 100:02d}")
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


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


def _roll_date(product: Product, year: int, month: int) -> date:
    """The first day on which a delivery month is no longer the active one."""
    if product.family == _GOLD:
        return date(year - 1, 12, 25) if month == 1 else date(year, month - 1, 25)
    first = date(year, month, 1)
    third_friday = first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)
    return third_friday - timedelta(days=4)
