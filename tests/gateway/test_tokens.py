"""The session token: single flight, revisions that never go back, renewal at 80 % of its life."""

import base64
import json
import random
import threading

import pytest

from tbot.gateway.codec_rest import Answer
from tbot.gateway.tokens import ASSUMED_LIFE_NS, LOGIN_BUDGET, RETRY_NS, TokenManager, expiry_ns

S = 1_000_000_000
START = 1_795_188_302 * S


def jwt(exp: object) -> str:
    return "h." + base64.urlsafe_b64encode(json.dumps({"exp": exp}).encode()).decode().rstrip("=") + ".s"


class Rig:
    """A token manager with clocks and answers in hand."""

    def __init__(self) -> None:
        self.wall = START
        self.boot = 0
        self.logins: list[Answer[str]] = []
        self.validations: list[Answer[str]] = []
        self.validated: list[int] = []
        self.tokens = TokenManager(
            lambda: self.logins.pop(0), self._validate, wall_ns=lambda: self.wall, boot_ns=lambda: self.boot
        )

    def _validate(self, token):
        self.validated.append(token.revision)
        return self.validations.pop(0)

    def logged_in(self, life_s: int = 86_400) -> "Rig":
        self.logins.append(Answer("accepted", jwt(self.wall // S + life_s)))
        assert self.tokens.get() is not None
        return self


def test_expiry_is_read_from_the_token():
    assert expiry_ns(jwt(1_795_188_302)) == START
    assert expiry_ns(jwt(1_795_188_302.9)) == START
    for bad in ("", "x", "a.b.c", "a.!!!.c", jwt(None), jwt("soon"), jwt(-1), jwt(10**30), "a." + "é" + ".c"):
        assert expiry_ns(bad) is None, bad


def test_a_token_without_readable_expiry_is_renewed_early():
    rig = Rig()
    rig.logins = [Answer("accepted", "opaque")]
    token = rig.tokens.get()
    assert token is not None
    assert token.expires_ns == START + ASSUMED_LIFE_NS
    assert "opaque" not in repr(token)


def test_renewal_is_due_at_80_percent_and_validates():
    rig = Rig().logged_in(life_s=1000)
    rig.wall += 799 * S
    assert not rig.tokens.renewal_due()
    rig.wall += S
    assert rig.tokens.renewal_due()
    rig.validations = [Answer("accepted", jwt(rig.wall // S + 1000))]
    renewed = rig.tokens.renew_in_time()
    assert renewed is not None
    assert (renewed.revision, rig.validated) == (2, [1])
    assert not rig.tokens.renewal_due()


@pytest.mark.parametrize("outcome", ["rejected", "ambiguous", "accepted"])
def test_F_API_01_a_failed_validation_leads_to_a_new_login(outcome):
    rig = Rig().logged_in()
    rig.validations = [Answer(outcome)]
    rig.logins = [Answer("accepted", jwt(START // S + 9))]
    renewed = rig.tokens.renew_in_time()
    assert renewed is not None
    assert renewed.revision == 2


@pytest.mark.parametrize("answer", [Answer("not_sent"), Answer("ambiguous", status=429)])
def test_a_validation_that_changed_nothing_keeps_the_token(answer):
    rig = Rig().logged_in()
    rig.validations = [answer]
    assert rig.tokens.renew_in_time() is rig.tokens.current()
    assert rig.tokens.logins == 1


def test_failed_logins_are_five_seconds_apart_or_what_the_gateway_asks():
    rig = Rig()
    rig.logins = [
        Answer("ambiguous"),
        Answer("ambiguous", status=429, retry_after_s=30.0),
        Answer("accepted", jwt(9**9)),
    ]
    assert rig.tokens.get() is None
    assert rig.tokens.get() is None
    assert rig.tokens.logins == 1
    rig.boot += RETRY_NS
    assert rig.tokens.get() is None
    assert rig.tokens.logins == 2
    rig.boot += 29 * S
    assert rig.tokens.get() is None
    rig.boot += S
    assert rig.tokens.get() is not None


def test_F_API_02_refused_means_no_more_tries_until_a_person_says_so():
    rig = Rig()
    rig.logins = [Answer("rejected", text="InvalidCredentials (3)")]
    for _ in range(3):
        assert rig.tokens.get() is None
        rig.boot += 100 * S
    assert rig.tokens.refused == "InvalidCredentials (3)"
    assert not rig.tokens.renewal_due()
    rig.tokens.reset()
    assert rig.logged_in().tokens.current() is not None


def test_F_API_01_older_tokens_never_replace_newer_ones():
    rig = Rig()
    assert rig.tokens.adopt("five", 5).text == "five"
    assert rig.tokens.adopt("four", 4).text == "five"
    stale = rig.tokens.current()
    assert stale is not None
    rig.tokens.invalidate(stale)
    assert rig.tokens.current() is None
    assert rig.tokens.adopt("five again", 5) == stale
    assert rig.tokens.current() is None  # the gateway refused revision 5
    rig.tokens.adopt("six", 6)
    rig.tokens.invalidate(stale)  # late news about an old one
    current = rig.tokens.current()
    assert current is not None
    assert current.text == "six"


def test_adopting_nothing_is_refused():
    rig = Rig()
    with pytest.raises(ValueError, match="revision"):
        rig.tokens.adopt("zero", 0)


def test_F_API_02_after_a_refused_login_the_old_token_serves_and_nobody_asks_again():
    """Validation proved nothing, the new login is refused: protective calls go on with the old token."""
    rig = Rig().logged_in()
    old = rig.tokens.current()
    rig.validations = [Answer("ambiguous"), Answer("ambiguous")]
    rig.logins = [Answer("rejected", text="AgreementsNotSigned (7)")]
    assert rig.tokens.renew_in_time() is old
    assert rig.tokens.renew_in_time() is old
    assert rig.tokens.current() is old
    assert rig.tokens.logins == 2  # the first one and the refused one
    assert rig.tokens.refused


@pytest.mark.parametrize("text", ["", None])
def test_an_accepted_login_without_a_token_is_none(text):
    rig = Rig()
    rig.logins = [Answer("accepted", text)]
    assert rig.tokens.get() is None
    assert rig.tokens.refused == ""


def test_F_API_01_a_gateway_that_takes_tokens_back_at_once_is_not_asked_for_ever():
    """A storm of 401: five logins in a minute, then none until the minute is over."""
    rig = Rig()
    for _ in range(50):
        rig.boot += S // 10
        rig.logins.append(Answer("accepted", jwt(START // S + 86_400)))
        token = rig.tokens.get()
        if token is not None:
            rig.tokens.invalidate(token)
    assert rig.tokens.logins == LOGIN_BUDGET.limit
    rig.boot += LOGIN_BUDGET.window_ns
    assert rig.tokens.get() is not None


def test_an_error_in_the_login_leaves_no_lock_behind():
    rig = Rig()
    with pytest.raises(IndexError):
        rig.tokens.get()  # the rig has no answer: the callback raises
    assert rig.logged_in().tokens.current() is not None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_F_API_01_I26_many_threads_never_hang_and_see_no_older_token(seed):
    """Everything at once, with logins and validations that fail at random: one flight at a time, no way back."""
    lock, flights, most, minted = threading.Lock(), [0], [0], [0]
    rng = random.Random(seed)
    clock = [0]

    def answer_of(kind):
        with lock:
            flights[0] += 1
            most[0] = max(most[0], flights[0])
            clock[0] += RETRY_NS
            outcome = rng.choice(["accepted", "accepted", "ambiguous", "not_sent", kind])
            minted[0] += 1
            number = minted[0]
        switch.wait(0)  # let others run
        with lock:
            flights[0] -= 1
        value = jwt(9**9 + number) if outcome == "accepted" else None
        return Answer(outcome, value)

    switch = threading.Event()
    tokens = TokenManager(
        lambda: answer_of("ambiguous"),
        lambda token: answer_of("rejected"),
        wall_ns=lambda: START,
        boot_ns=lambda: clock[0],
    )
    start, faults = threading.Barrier(12), []

    def work(number):
        own = random.Random(seed * 100 + number)
        start.wait(30)
        newest = 0
        for _ in range(200):
            with lock:
                clock[0] += RETRY_NS
            token = tokens.current()
            action = own.randrange(6)
            if action == 0:
                seen = tokens.get()
            elif action == 1 and token is not None:
                seen = tokens.renew(token)
            elif action == 2:
                seen = tokens.renew_in_time()
            elif action == 3 and token is not None:
                tokens.invalidate(token)
                seen = None
            elif action == 4:
                seen = tokens.adopt(jwt(9**9), own.randrange(1, 40))
            else:
                seen, _ = tokens.current(), tokens.renewal_due()
            if seen is not None and action in (0, 1) and seen.revision < newest:
                faults.append((number, seen.revision, newest))
            newest = max(newest, 0 if seen is None else seen.revision)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not [thread for thread in threads if thread.is_alive()], "somebody waits for ever"
    assert faults == []
    assert most[0] == 1, "two logins at a time"
