"""What an answer proves and what it does not: absence, contradiction, age, and repeated looks (R3, R5, F-ACC-05)."""

from dataclasses import replace

from desk_rig import Rig, settings
from tbot.domain.messages import CloseContract, PlaceBracket, PositionUpdate, Query, StateChange


def holding(**kwargs: object) -> Rig:
    rig = Rig(**kwargs).start()  # type: ignore[arg-type]
    rig.signal(1)
    rig.run(2)
    return rig


def next_answer(rig: Rig) -> None:
    asked = len(rig.broker.sent(Query))
    while len(rig.broker.sent(Query)) == asked:
        rig.tick()


def test_F_ACC_05_an_order_missing_once_is_in_doubt_but_not_gone() -> None:
    rig = holding(settings=settings(on_exit="hold"))
    rig.broker.hidden = {rig.broker.leg("SL").order_id}
    next_answer(rig)
    assert len(rig.view()["orders"]) == 2
    assert not rig.view()["positions"][0]["protected"]
    rig.operator("stop")  # asks at once: two answers within a second are one look
    assert len(rig.view()["orders"]) == 2
    rig.broker.hidden = set()
    rig.run(5)
    assert rig.view()["positions"][0]["protected"]
    assert not rig.broker.sent(CloseContract)


def test_F_ACC_05_an_order_that_was_given_up_comes_back_when_it_is_listed_again() -> None:
    rig = holding()
    rig.broker.hidden = {rig.broker.leg("SL").order_id}
    next_answer(rig)
    while len(rig.view()["orders"]) == 2:
        rig.tick()
    rig.broker.hidden = set()
    rig.run(1)
    assert rig.view()["positions"][0]["protected"]
    assert not rig.broker.sent(CloseContract)


def test_R5_a_stop_that_stays_missing_means_naked() -> None:
    rig = holding()
    rig.broker.hidden = {rig.broker.leg("SL").order_id}
    rig.run(12)
    assert rig.broker.size("MNQ") == 0


def test_R5_an_answer_older_than_the_news_proves_nothing_against_it() -> None:
    rig = Rig().start()
    rig.broker.script["query"] = ["keep"]
    while not rig.broker.kept:
        rig.tick()
    rig.signal(1)  # placed, filled and protected while the answer is on its way
    rig.feed(rig.broker.kept.pop())
    assert rig.state == "ACTIVE"
    position = rig.view()["positions"][0]
    assert (position["size"], position["protected"]) == (5, True)


def test_I6_no_entry_while_the_hub_tells_of_a_position_that_no_fill_explains() -> None:
    rig = Rig().start()
    rig.broker.held["MES"] = [(-1, rig.prices["MES"])]
    rig.feed(PositionUpdate(rig.now_ns, 1001, "MES", -1, rig.prices["MES"]))
    rig.signal(1, "MES", -1)
    rig.signal(2, "MNQ")  # the account's size counts too
    assert rig.denials == ["RC_MISMATCH", "RC_MISMATCH"]
    rig.run(20)  # closed meanwhile
    rig.signal(3, "MNQ")
    assert len(rig.broker.sent(PlaceBracket)) == 1


def test_R5_two_looks_are_a_second_apart() -> None:
    rig = holding(settings=settings(on_exit="hold"))
    rig.broker.held["MNQ"] = []
    next_answer(rig)
    rig.operator("stop")  # asks at once
    assert rig.view()["positions"][0]["size"] == 5
    rig.run(3)
    assert rig.view()["positions"] == []


def test_R3_presumed_dead_needs_five_explicit_answers() -> None:
    rig = Rig().start()
    rig.broker.script["place"] = ["ambiguous_lost"]
    rig.broker.query_complete = False
    rig.signal(1)
    rig.run(80, step=1)
    rig.broker.query_complete = True
    rig.run(8, step=1)
    assert rig.view()["unknown"]
    rig.run(30, step=1)
    assert rig.view()["unknown"] == []


def test_R5_an_answer_that_was_not_asked_for_proves_nothing() -> None:
    rig = Rig()
    rig.broker.silent = True
    rig.tick(0)
    (query,) = rig.broker.sent(Query)
    assert isinstance(query, Query)
    rig.feed(rig.broker.snapshot(replace(query, command_id="other")))
    assert rig.state == "RECONCILING"
    rig.feed(rig.broker.snapshot(query))
    assert rig.state == "ACTIVE"


def test_F_ACC_05_an_order_that_is_over_but_still_listed_counts_as_working() -> None:
    rig = holding()
    rig.broker.ghosts = [rig.broker.leg("SL")]
    rig.operator("kill")
    rig.run(5)
    assert rig.state == "REDUCING"
    assert not rig.desk.is_flat(1001)
    rig.broker.ghosts = []
    rig.run(5)
    assert rig.desk.is_flat(1001)


def test_R7_an_answer_without_the_position_that_fills_tell_of_is_no_proof() -> None:
    rig = holding()
    rig.broker.hide_positions = True
    rig.broker.script["close"] = ["rejected"] * 2
    rig.operator("flatten")
    rig.run(0.5)
    assert rig.state == "REDUCING"
    assert rig.broker.leg("SL").status == "open"
    rig.broker.hide_positions = False
    rig.run(6)
    assert rig.desk.is_flat(1001)


def test_flat_is_proven_only_by_an_answer_newer_than_the_last_fill() -> None:
    rig = Rig().start()
    assert rig.desk.is_flat(1001)
    rig.signal(1)
    leg = rig.broker.leg("TP")
    rig.broker.fill(leg.order_id, price=leg.limit)
    rig.pump()
    assert rig.view()["positions"] == []
    assert not rig.desk.is_flat(1001)
    rig.run(6)
    assert rig.desk.is_flat(1001)


def test_resume_while_locked_is_refused_in_words() -> None:
    rig = Rig().start()
    rig.feed(replace(rig.broker.status(), can_trade=False))
    rig.operator("resume")
    assert rig.of(StateChange)[-1].text == "resume refused: the account is locked until the next trading day"


def test_a_wider_flatten_takes_over_without_a_second_close() -> None:
    rig = holding()
    rig.broker.place_foreign("ES", 1, 1)
    rig.pump()
    rig.broker.silent = True
    rig.operator("flatten")
    rig.operator("kill")
    assert [command.contract for command in rig.broker.sent(CloseContract)] == ["MNQ", "ES"]  # type: ignore[union-attr]
    rig.broker.silent = False
    rig.run(20)
    assert rig.broker.size("ES") == rig.broker.size("MNQ") == 0


def test_I2_a_rejected_entry_is_never_sent_again() -> None:
    rig = Rig().start()
    rig.broker.script["place"] = ["reject"]
    rig.signal(1)
    rig.run(90, step=1)
    rig.signal(1)
    assert len(rig.broker.sent(PlaceBracket)) == 1
