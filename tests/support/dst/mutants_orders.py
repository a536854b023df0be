"""Broken engines for what leaves and what is held: I1 to I12, I23, I29, each with its scene."""

from dataclasses import replace
from typing import Any

from dst.mutants import both, mutant, replaced, without
from dst.stage import Stage
from tbot.domain.messages import FeedIn, OrderUpdate
from tbot.domain.round_trips import ContractBook as FillBook
from tbot.domain.timeframes import NS_PER_S
from tbot.execution import operator_requests, order_manager, picture
from tbot.execution.account_engine import AccountEngine
from tbot.execution.guards import Guards
from tbot.execution.picture import Picture
from tbot.execution.protection import Protector
from tbot.execution.reconcile import Reconciler
from tbot.gateway.codec_domain import ContractBook
from tbot.gateway.throttle import SlidingWindow
from tbot.risk import gate
from tbot.risk.ledger import Ledger
from tbot.risk.limits import RiskLimits
from tbot.storage.journal import Journal


# ------------------------------------------------------------------------------------------------------ I1 recorded
def _record_without_commit(self: Journal, item: Any, outputs: Any) -> None:
    self._take(item, outputs)


@mutant("I1", replaced(Journal, "record", _record_without_commit))
def a_journal_that_answers_before_it_is_on_disk(stage: Stage) -> None:
    stage.signal(1)
    stage.run(3)


_request = AccountEngine._request


def _always_active(self: AccountEngine, item: Any) -> Any:
    request = _request(self, item)
    return replace(request, facts=replace(request.facts, state="ACTIVE"))


@mutant("I1", replaced(AccountEngine, "_request", _always_active))
def an_entry_although_a_person_paused(stage: Stage) -> None:
    stage.signal("good", "MES")
    stage.run(1)
    stage.operator("pause")
    stage.signal(1)
    stage.run(3)


# ---------------------------------------------------------------------------------------------------------- I2 once
_placed = order_manager.OrderManager._placed


def _send_again(self: order_manager.OrderManager, entry: Any, result: Any, step: int) -> None:
    _placed(self, entry, result, step)
    if result.outcome == "ambiguous":
        again = self._outbox.new_id()
        self.pending[again] = order_manager.Pending("place", entry.contract, result.now_ns, tag=entry.tag)
        self._outbox.command(replace(order_manager._bracket(entry, self._outbox.account), command_id=again))


@mutant("I2", replaced(order_manager.OrderManager, "_placed", _send_again))
def an_unknown_entry_is_sent_once_more(stage: Stage) -> None:
    stage.fates.append("never arrives")
    stage.signal(1, stop_ticks=150, target_ticks=300)
    stage.run(15)


def _forget_entries(self: AccountEngine) -> None:
    for code, text in self.account.carried.reasons:
        self.reasons.add(code, text, 0)


@mutant("I2", replaced(AccountEngine, "_carry", _forget_entries))
def a_decision_is_forgotten_at_a_restart(stage: Stage) -> None:
    stage.signal(1)
    stage.run(3)
    stage.prices["MNQ"] += 100  # the target
    stage.run(6)
    stage.kill()
    stage.begin()
    stage.run(3)
    stage.prices["MNQ"] -= 100
    stage.tick()
    stage.signal(1)
    stage.run(2)


# ----------------------------------------------------------------------------------------------------- I3 protected
@mutant("I3", both(replaced(Guards, "protection", lambda *_: []), replaced(Protector, "look", lambda *_: [])))
def nobody_looks_whether_the_stop_is_there(stage: Stage) -> None:
    stage.controls.bracket("drop", "both")
    stage.signal(1)
    stage.run(15)


def _any_stop(self: Picture, contract: str) -> list[Any]:
    return [seen.order for seen in self.working(contract) if seen.order.order_type == "stop"]


@mutant("I3", replaced(Picture, "stops", _any_stop))
def a_stop_that_still_waits_counts_as_one_that_works(stage: Stage) -> None:
    stage.controls.bracket("suspended", "both")
    stage.signal(1)
    stage.run(15)


# --------------------------------------------------------------------------------------------------------- I4 known
@mutant("I4", replaced(Reconciler, "_positions", lambda *_: None))
def a_position_that_became_smaller_is_not_noticed(stage: Stage) -> None:
    stage.signal(1)
    stage.run(3)
    stage.controls.mutate_position(stage.account.account_id, "MNQ", 2, stage.now_ns)
    stage.run(18)  # then its stop, too large for so long, is named as well (I5)


# ----------------------------------------------------------------------------------------------------- I5 explained
@mutant("I5", replaced(Reconciler, "_leftovers", lambda *_: None))
def an_order_of_a_dead_run_is_left_where_it_is(stage: Stage) -> None:
    stage.controls.orphan("entry", stage.account.account_id, "MES", stage.now_ns)
    stage.run(60)


@mutant("I5", replaced(Protector, "_shrink", lambda *_: None))
def a_stop_is_left_larger_than_what_a_person_left_of_the_position(stage: Stage) -> None:
    stage.signal(1)
    stage.run(8)
    sold = stage.controls.human_trade(stage.account.account_id, "MNQ", -1, 2, stage.now_ns)
    stage.evidence.foreign.add(sold)
    stage.run(60)


# ---------------------------------------------------------------------------------------------------------- I6 size
@mutant("I6", replaced(RiskLimits, "max_contracts", lambda *_: 50))
def the_size_limit_of_a_contract_is_forgotten(stage: Stage) -> None:
    stage.signal(1, stop_ticks=10, target_ticks=80)
    stage.run(2)


# --------------------------------------------------------------------------------------------------------- I7 fresh
@mutant("I7", without("quote_is_fresh"))
def an_entry_on_an_old_price(stage: Stage) -> None:
    stage.signal("good", "MES")
    stage.run(1)
    stage.quote_age_ns = 5 * NS_PER_S
    stage.signal(1)
    stage.run(2)


@mutant("I7", without("feed_is_ok"))
def an_entry_behind_a_gap(stage: Stage) -> None:
    stage.signal("good", "MES")
    stage.run(1)
    stage.feed(FeedIn(stage.now_ns, "MNQ", "gap"))
    stage.signal(1)
    stage.run(2)


# ---------------------------------------------------------------------------------------------------------- I9 rate
@mutant("I9", replaced(gate, "entry_rate", lambda _: None))
def the_rate_of_entries_is_not_watched(stage: Stage) -> None:
    for number in range(1, 4):
        stage.signal(number)
        stage.tick()
        stage.prices["MNQ"] += 100
        stage.run(1)


@mutant("I9", replaced(SlidingWindow, "take", lambda *_, **__: True))
def the_budget_of_requests_is_not_kept(stage: Stage) -> None:
    for _ in range(220):
        stage.read()
    stage.run(1)


# ---------------------------------------------------------------------------------------------------------- I10 kill
_apply = operator_requests.apply


def _kill_is_a_lock(engine: AccountEngine, item: Any) -> None:
    if item.verb == "kill":
        engine.reasons.add("RC_KILL_SWITCH", "the kill switch was pressed", engine.now_ns)
    else:
        _apply(engine, item)


@mutant("I10", replaced(operator_requests, "apply", _kill_is_a_lock))
def the_kill_switch_only_stops_entries(stage: Stage) -> None:
    stage.signal(1)
    stage.run(3)
    stage.operator("kill")
    stage.run(15)


# ------------------------------------------------------------------------------------------- I11 quantities and P&L
_fold = picture.fold


def _shrinking(order: Any, update: OrderUpdate) -> Any:
    folded = _fold(order, update)
    return replace(folded, order=replace(folded.order, filled=update.filled))


@mutant("I11", replaced(picture, "fold", _shrinking))
def an_older_view_of_an_order_takes_back_its_fills(stage: Stage) -> None:
    stage.controls.partial([2])
    stage.signal(1)
    stage.run(1)
    (entry,) = [order for order in stage.living() if order.parent_id is None]
    old = OrderUpdate(
        stage.now_ns, stage.account.account_id, entry.order_id, "MNQ", "open", "market", 1, 5, 0, tag=entry.tag
    )
    stage.feed(old)
    stage.run(1)


_book_apply = FillBook.apply


def _dearer(self: Any, fill: Any) -> Any:
    return _book_apply(self, replace(fill, price=fill.price + (fill.side < 0)))


@mutant("I11", replaced(FillBook, "apply", _dearer))
def the_ledger_books_a_tick_too_much(stage: Stage) -> None:
    stage.signal(1)
    stage.run(3)
    stage.prices["MNQ"] += 100
    stage.run(40)


_take_fill = Ledger.add


@mutant("I11", replaced(Ledger, "add", lambda self, fill: _take_fill(self, replace(fill, pnl_cents=None))))
def the_result_that_the_broker_tells_is_passed_over(stage: Stage) -> None:
    stage.signal(1)
    stage.run(3)
    stage.reprice(50)
    stage.prices["MNQ"] += 100
    stage.run(40)


# ---------------------------------------------------------------------------------------------------- I12 daily loss
WIDE = RiskLimits(risk_per_trade_cents=80_000)


@mutant("I12", replaced(Guards, "daily_loss", lambda *_: None), limits=WIDE)
def the_daily_limit_is_reached_with_positions_open(stage: Stage) -> None:
    stage.signal(1, stop_ticks=280, target_ticks=380)
    stage.run(3)
    number = stage.controls.human_trade(stage.account.account_id, "MES", 1, 5, stage.now_ns)
    stage.evidence.foreign.add(number)
    stage.run(3)
    for _ in range(10):
        stage.prices["MNQ"] -= 20
        stage.prices["MES"] -= 6
        stage.tick()
    stage.run(15)


@mutant("I12", replaced(gate, "headroom_cents", lambda *_: 10**9), limits=WIDE)
def the_worst_case_of_an_entry_is_not_looked_at(stage: Stage) -> None:
    stage.signal(1, stop_ticks=200, target_ticks=300)
    stage.run(3)
    stage.stop_out(ticks=201)
    stage.run(8)
    stage.signal(2, stop_ticks=200, target_ticks=300)
    stage.run(3)


# ---------------------------------------------------------------------------------------------------- I23 age, I29
@mutant("I23", without("signal_is_young"))
def a_signal_from_long_ago_is_taken(stage: Stage) -> None:
    stage.signal("good", "MES")
    stage.run(1)
    stage.signal(1, age_ns=5 * NS_PER_S)
    stage.run(2)


@mutant("I29", replaced(ContractBook, "broker_id", lambda _, name: f"CON.F.US.{name}.H27"))
def an_order_of_another_month(stage: Stage) -> None:
    stage.signal(1)
    stage.run(2)
