"""Balance and change of the day by the broker's word."""

from datetime import date

from tbot.domain.accounts import Account
from tbot.domain.messages import AccountUpdate

MONDAY, TUESDAY, WEDNESDAY = date(2026, 11, 16), date(2026, 11, 17), date(2026, 11, 18)


def told(account: Account, balance: int, day: date) -> Account:
    return account.updated(AccountUpdate(0, 1, "PRAC", balance, True, True), day)


def test_the_day_starts_with_the_last_word_of_the_day_before() -> None:
    account = told(Account(1), 5_000_000, MONDAY)
    assert account.day_start_cents == 5_000_000
    account = told(told(account, 5_090_000, MONDAY), 5_050_000, MONDAY)
    assert (account.day_start_cents, account.balance_cents) == (5_000_000, 5_050_000)
    account = told(account, 5_020_000, TUESDAY)
    assert (account.day_start_cents, account.balance_cents) == (5_050_000, 5_020_000)
    assert told(account, 5_000_000, WEDNESDAY).day_start_cents == 5_020_000


def test_nothing_is_known_before_the_first_word() -> None:
    account = Account(1)
    assert (account.day_start_cents, account.can_trade, account.balance_cents) == (None, False, None)
