"""The strategy of one contract as far as it is bookkeeping and judging. Rules: smc.md section 11; words: tbot.strategy.

A setup is a zone of a traded timeframe that price has entered. On the entry timeframe three things trigger it: a CHoCH
or MSS of its side, a SWEEP of its side whose excursion ends inside the zone, or both since it opened. A decision is
made at the close of an entry bar, when all events of that instant are in. Of all setups that it triggers, of both
sides, the best speaks and the others have had their trigger; one whose score is too low, or that a rule forbids, waits
for its next trigger. `SetupBook` stops there: the caller takes what was found, tells it, and goes on.

News and the dollar index are judged in Python, rarely: where the stream tells of any, the book stops before it chooses
(`asks`), and the caller gives a verdict for each side. So a setup that they forbid is like one that any rule forbids:
it keeps its trigger, and the second best speaks.

Rulings. All triggers of one close are judged together, so that a sweep and a CHoCH of one bar count as both. An MSS is
the same trigger as the CHoCH that it confirms: when that gave a signal, the MSS is no trigger. If one bar swept several
pools, the furthest whose excursion ends in the zone is the one (the last event). A trigger of a bar of warm-up or of an
unclean bar is forgotten; one that only the moment forbade (no quote, a gap) stays in the setup's memory. Confluence
counts zones, pools and levels of 5m and longer (of the entry timeframe and longer when that is longer): those of 1m are
always near something and would tell nothing apart. The target may be a pool or level of any timeframe.

The same rules in Python, slow and plain, are what the tests hold this to: tests/support/plain_strategy.
"""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t
from libc.string cimport memset

from tbot_ext.events cimport minutes_ns
from tbot_ext.frames cimport frame_bar, frame_location, frame_of
from tbot_ext.judging cimport DATA_ONLY, DIED_NO_TRIGGER, DIED_ZONE, NO_ATR, NO_QUOTE, NO_RISK, NOT_LIVE
from tbot_ext.judging cimport OUTSCORED, SCORE_TOO_LOW, SIGNALS, TESTS, TESTS_WARMUP, TOO_LATE, TRIGGERS, TRIGGERS_IDLE
from tbot_ext.judging cimport UNCLEAN_BAR, WARMUP, fate_of, plan_trade, sum_up, with_facts
from tbot_ext.outcome_book cimport ENDED_MANY_C, FATE_SIGNAL, FATE_UNTRIGGERED, STAGE_TEST, STAGE_TRIGGER
from tbot_ext.outcome_book cimport outcome_book_bar, outcome_book_count, outcome_book_init, outcome_book_lay
from tbot_ext.pipeline cimport ContractPipeline
from tbot_ext.place_book cimport place_book_apply, place_book_init, place_book_neighbours
from tbot_ext.records cimport EVENT_BAR, EVENT_BOS, EVENT_CHOCH, EVENT_FVG
from tbot_ext.records cimport EVENT_LEVEL_EXPIRED, EVENT_MITIGATION_EXPIRED, EVENT_MSS, EVENT_POOL, EVENT_SWEEP
from tbot_ext.records cimport EVENT_SWING_HIGH, EVENT_SWING_LOW, FLAG_INCOMPLETE, FLAG_SUSPECT
from tbot_ext.records cimport FLAG_WARMUP, Event, Tick
from tbot_ext.setups cimport setup_remember
from tbot_ext.zone_book cimport HeldZone, zone_book_apply, zone_book_enter, zone_book_init, zone_book_neighbours

import numpy as np

from tbot_ext.params import TIMEFRAMES
from tbot_ext.records import EVENT_DTYPE

__all__ = ["COUNTERS", "SetupBook"]

# What became of zones, setups and triggers, in the order of the funnel.
COUNTERS = (
    "tests",  # a live bar entered a zone: a setup opened
    "tests_warmup",  # entered in warm-up: the test is spent
    "died_no_trigger",  # setups without a trigger in time
    "died_zone",  # setups whose zone broke, filled or expired
    "triggers_idle",  # closes with a trigger that concerns no setup
    "triggers",  # closes with one that concerns at least one
    "warmup",  # why such closes gave nothing
    "data_only",
    "not_live",
    "unclean_bar",
    "too_late",
    "no_quote",
    "no_atr",  # why single setups gave nothing when triggered
    "no_risk",
    "target_below_cost",
    "score_too_low",
    "outscored",  # a better setup was triggered at the same close
    "signals",
    "news",  # why single setups gave nothing when triggered: the outside facts
    "dollar_stale",
    "against_dollar",
)

# ---------------------------------------------------------------- leaves

cdef inline int64_t _wick(const Event* sweep) noexcept nogil:
    """Where the excursion ended."""
    return sweep.bottom if sweep.side > 0 else sweep.top


@cython.final
cdef class SetupBook:
    """Events of one contract in, the best triggered setup out; see the module. State is bounded.

    `rules`: the fields of Rules by name. `zone_timeframes_min`: those that are traded. `atr_n`: bars of the average
    true range by timeframe in minutes. `counters`: a dict in which this book counts on.
    """

    def __cinit__(self):
        self._zones = <ZoneBook*>PyMem_Calloc(1, sizeof(ZoneBook))
        self._places = <PlaceBook*>PyMem_Calloc(1, sizeof(PlaceBook))
        self._setups = <Setup*>PyMem_Calloc(ZONES_C + 1, sizeof(Setup))
        self._triggers = <Event*>PyMem_Calloc(TRIGGERS_C, sizeof(Event))
        self._found = <int32_t*>PyMem_Calloc(2 * ZONES_C + PLACES_C + 4, sizeof(int32_t))
        self._outcomes = <OutcomeBook*>PyMem_Calloc(1, sizeof(OutcomeBook))
        if not (self._zones and self._places and self._setups and self._triggers and self._found and self._outcomes):
            raise MemoryError()

    def __dealloc__(self):
        PyMem_Free(self._zones)
        PyMem_Free(self._places)
        PyMem_Free(self._setups)
        PyMem_Free(self._triggers)
        PyMem_Free(self._found)
        PyMem_Free(self._outcomes)

    def __init__(self, dict rules, int64_t max_tests, zone_timeframes_min, dict atr_n, dict counters):
        cdef int i
        self._rules = rules
        zone_book_init(self._zones, max_tests)
        place_book_init(self._places)
        for minutes in zone_timeframes_min:
            self._zones.traded[<uint8_t>minutes] = True
        memset(&self._frames[0], 0, sizeof(self._frames))
        for i, minutes in enumerate(TIMEFRAMES):
            self._frames[i].atr_n = atr_n[minutes]
            self._frames[i].trend_event = self._frames[i].high_event = self._frames[i].low_event = -1
        memset(&self._counters[0], 0, sizeof(self._counters))
        self._told = counters
        counters.update(dict.fromkeys(COUNTERS, 0))
        self._setups_n = self._triggers_n = 0
        self._bar_flags = 0
        self._spoken = self._best.setup = -1
        self._facts, self._asks = False, False
        self._verdicts[0].refused = self._verdicts[1].refused = -1
        self._verdicts[0].points = self._verdicts[1].points = 0.0
        outcome_book_init(self._outcomes, minutes_ns(self._rules.horizon_min))
        for i in range(KINDS_C * TIMEFRAMES_C):
            self._weights[i // TIMEFRAMES_C][i % TIMEFRAMES_C] = 1.0
        self._weighed_until_ns = INT64_MAX

    # ------------------------------------------------------------ folding in

    cdef int64_t _fold(self, const Event* events, int64_t at, int64_t n, const Market* market) noexcept nogil:
        """Take in events from `at` on; the next one to take in, less than n only when somebody else has to act."""
        while at < n:
            if self._triggers_n and events[at].known_ns != self._triggers[0].known_ns:
                self._decide(market)
                if self._best.setup >= 0 or self._asks:
                    return at
            self._on_event(&events[at], market)
            at += 1
        if self._triggers_n:
            self._decide(market)
        return at

    cdef void _on_event(self, const Event* event, const Market* market) noexcept nogil:
        cdef int kind = event.kind, members = 0
        cdef int at = frame_of(event.timeframe_min)
        cdef Frame* frame = &self._frames[at if at >= 0 else 0]
        if EVENT_POOL <= kind <= EVENT_LEVEL_EXPIRED:
            members = place_book_apply(self._places, event)
        elif EVENT_FVG <= kind <= EVENT_MITIGATION_EXPIRED:
            self._on_zone(event)
        elif at < 0:
            return
        elif kind == EVENT_BAR:
            frame_bar(frame, event)
            if event.timeframe_min == self._rules.entry_min:
                self._on_entry_bar(event, market)
        elif kind == EVENT_BOS or kind == EVENT_CHOCH:
            frame.trend, frame.trend_event = event.side, event.id
        elif kind == EVENT_SWING_HIGH or kind == EVENT_SWING_LOW:
            if event.side > 0:
                frame.high, frame.high_event = event.level, event.id
            else:
                frame.low, frame.low_event = event.level, event.id
        if (kind == EVENT_CHOCH or kind == EVENT_MSS or kind == EVENT_SWEEP) and (
                event.timeframe_min == self._rules.entry_min):
            self._on_trigger(event, members)

    cdef void _on_zone(self, const Event* event) noexcept nogil:
        cdef int32_t lost[3]
        cdef int n = zone_book_apply(self._zones, event, &lost[0]), i
        for i in range(n):
            self._setups[lost[i]].zone = -1         # it is no more, or another one
        for i in range(n):
            self._close(lost[i])
            if i + 1 < n and lost[i + 1] == self._setups_n:
                lost[i + 1] = lost[i]
        self._counters[DIED_ZONE] += n

    cdef void _on_trigger(self, const Event* event, int members) noexcept nogil:
        """A sweep's own n, the place in the cluster, has told its order: the members of its pool replace it."""
        if event.kind == EVENT_MSS and event.parent_id == self._spoken != -1:
            return
        if self._triggers_n == TRIGGERS_C:
            return
        self._triggers[self._triggers_n] = event[0]
        if event.kind == EVENT_SWEEP:
            self._triggers[self._triggers_n].n = <unsigned short>members
        self._triggers_n += 1

    cdef void _close(self, int32_t number) noexcept nogil:
        """A setup ends; the last one takes its number."""
        if self._setups[number].zone >= 0:
            self._zones.items[self._setups[number].zone].setup = -1
        self._setups_n -= 1
        if number != self._setups_n:
            self._setups[number] = self._setups[self._setups_n]
            if self._setups[number].zone >= 0:
                self._zones.items[self._setups[number].zone].setup = number

    cdef void _on_entry_bar(self, const Event* bar, const Market* market) noexcept nogil:
        cdef int32_t i = self._setups_n
        cdef int n
        cdef HeldZone* zone
        cdef Setup* setup
        self._bar_flags = bar.flags
        outcome_book_bar(self._outcomes, bar, market.now_ns)
        while i > 0:
            i -= 1
            if bar.known > self._setups[i].bar + self._rules.trigger_bars:
                self._close(i)
                self._counters[DIED_NO_TRIGGER] += 1
        n = zone_book_enter(self._zones, bar.top, bar.bottom, bar.known_ns - minutes_ns(self._rules.entry_min),
                            self._found)
        if bar.flags & FLAG_WARMUP:
            self._counters[TESTS_WARMUP] += n
            return
        self._counters[TESTS] += n
        for i in range(n):
            zone = &self._zones.items[self._found[i]]
            if zone.setup < 0:                      # else: tested anew before its last test had its trigger
                zone.setup = self._setups_n
                self._setups_n += 1
            setup = &self._setups[zone.setup]
            memset(setup, 0, sizeof(Setup))
            setup.zone, setup.test, setup.bar = self._found[i], zone.tests, bar.known
            setup.bar_event, setup.entered_ns = bar.id, bar.known_ns
        if n and self._rules.follow and self._refusal(market, bar.known_ns, bar.flags) < 0:
            self._lay_tests(bar, market)

    cdef void _lay_tests(self, const Event* bar, const Market* market) noexcept nogil:
        """What a trade at once, without waiting for a trigger, would bring, of each zone that this bar entered."""
        cdef Candidate candidate
        cdef int32_t i, first = self._outcomes.followed_n
        cdef int refused
        for i in range(self._setups_n):
            if self._setups[i].bar_event == bar.id:
                refused = self._judge(i, market, &candidate)
                if refused != NO_ATR and refused != NO_RISK:
                    self._lay(i, &candidate, bar.known_ns, STAGE_TEST, FATE_UNTRIGGERED)
        outcome_book_count(self._outcomes, first)

    # ------------------------------------------------------------ deciding

    cdef bint _concerns(self, const Setup* setup, const Event* trigger) noexcept nogil:
        """Whether an event of a trigger's kind triggers this setup."""
        cdef const HeldZone* zone = &self._zones.items[setup.zone]
        if trigger.side != zone.side:
            return False
        return trigger.kind != EVENT_SWEEP or zone.bottom <= _wick(trigger) <= zone.top

    cdef bint _waited(self, const Setup* setup) noexcept nogil:
        """Whether any trigger of this close is its."""
        cdef int32_t i
        for i in range(self._triggers_n):
            if self._concerns(setup, &self._triggers[i]):
                return True
        return False

    cdef void _remember(self, Setup* setup) noexcept nogil:
        """Take in the triggers of this close that concern a setup, in order of emission."""
        cdef int32_t i
        for i in range(self._triggers_n):
            if self._concerns(setup, &self._triggers[i]):
                setup_remember(setup, &self._triggers[i])

    cdef int _refusal(self, const Market* market, int64_t decided_ns, int64_t flags) noexcept nogil:
        """Why nothing may be decided at this close (a counter), -1 when something may.

        A decision counts until the next bar of the entry timeframe would have closed. Later it rests on a bar that is
        not the newest (bars held back during a gap come out in one go).
        """
        if flags & FLAG_WARMUP:
            return WARMUP
        if self._rules.data_only:
            return DATA_ONLY
        if not market.live:
            return NOT_LIVE
        if flags & (FLAG_INCOMPLETE | FLAG_SUSPECT):
            return UNCLEAN_BAR
        if market.now_ns >= decided_ns + minutes_ns(self._rules.entry_min):
            return TOO_LATE
        if market.bid == INT64_MIN or market.ask == INT64_MIN or market.bid > market.ask:
            return NO_QUOTE
        return -1

    cdef void _decide(self, const Market* market) noexcept nogil:
        """Judge the close whose triggers have come in."""
        cdef int64_t flags = self._triggers[0].flags | self._bar_flags, decided_ns = self._triggers[0].known_ns
        cdef bint clean = not flags & (FLAG_WARMUP | FLAG_INCOMPLETE | FLAG_SUSPECT)
        cdef int refused
        cdef int32_t i, waiting = 0
        for i in range(self._setups_n):
            self._setups[i].found = self._waited(&self._setups[i])
            if self._setups[i].found:
                waiting += 1
                if clean:
                    self._remember(&self._setups[i])
        self._triggers_n = 0
        if not waiting:
            self._counters[TRIGGERS_IDLE] += 1
            return
        self._counters[TRIGGERS] += 1
        refused = self._refusal(market, decided_ns, flags)
        if refused >= 0:
            self._counters[refused] += 1
        elif self._facts:
            self._asks, self._asked_at, self._asked_ns = True, market[0], decided_ns
        else:
            self._choose(market, decided_ns)

    cdef void _choose(self, const Market* market, int64_t decided_ns) noexcept nogil:
        """Of the setups that wait the best one that may be traded; all that may have had their trigger."""
        cdef Candidate candidate
        cdef int32_t i, first = self._outcomes.followed_n
        cdef int refused, side, k
        for i in range(self._setups_n):
            if not self._setups[i].found:
                continue
            refused = self._judge(i, market, &candidate)
            if self._facts:
                side = self._zones.items[self._setups[i].zone].side
                refused = with_facts(&self._rules, &self._verdicts[0 if side > 0 else 1], refused, &candidate)
            if self._rules.follow and refused != NO_ATR and refused != NO_RISK:
                self._lay(i, &candidate, decided_ns, STAGE_TRIGGER, fate_of(refused))
            self._setups[i].found = refused < 0
            if refused >= 0:
                self._counters[refused] += 1
            elif self._best.setup < 0 or self._better(&candidate, &self._best):
                self._counters[OUTSCORED] += self._best.setup >= 0
                self._best = candidate
            else:
                self._counters[OUTSCORED] += 1
        outcome_book_count(self._outcomes, first)
        if self._best.setup < 0:
            return
        self._best.decided_ns = decided_ns
        self._chosen = self._setups[self._best.setup]
        for i in range(first, self._outcomes.followed_n):
            if self._outcomes.followed[i].zone_id == self._zones.items[self._chosen.zone].id:
                self._outcomes.followed[i].fate = FATE_SIGNAL
        i = self._setups_n
        while i > 0:
            i -= 1
            if self._setups[i].found:
                self._close(i)
        self._spoken = -1
        for k in range(self._chosen.shifts_n):
            if self._chosen.shifts[k].kind == EVENT_CHOCH and self._spoken < 0:
                self._spoken = self._chosen.shifts[k].id
        self._counters[SIGNALS] += 1

    cdef void _lay(self, int32_t number, const Candidate* found, int64_t decided_ns, Stage stage,
                   int fate) noexcept nogil:
        """Follow what a judged setup would bring as a trade."""
        cdef Setup* setup = &self._setups[number]
        cdef const HeldZone* zone = &self._zones.items[setup.zone]
        cdef double weight = self._weights[zone.kind][frame_of(zone.timeframe_min)]
        setup.laid += stage == STAGE_TRIGGER
        outcome_book_lay(self._outcomes, setup, zone, found, &self._frames[0], frame_of(self._rules.entry_min), weight,
                         self._rules.contract_id, decided_ns, stage, fate)

    cdef bint _better(self, const Candidate* one, const Candidate* other) noexcept nogil:
        cdef const HeldZone* mine = &self._zones.items[self._setups[one.setup].zone]
        cdef const HeldZone* theirs = &self._zones.items[self._setups[other.setup].zone]
        if one.score != other.score:
            return one.score > other.score
        if mine.timeframe_min != theirs.timeframe_min:
            return mine.timeframe_min > theirs.timeframe_min
        return mine.id < theirs.id

    # ------------------------------------------------------------ judging

    cdef int _judge(self, int32_t number, const Market* market, Candidate* found) noexcept nogil:
        """A triggered setup as a trade; a counter when a rule forbids it, else -1."""
        cdef const Rules* rules = &self._rules
        cdef const Setup* setup = &self._setups[number]
        cdef const HeldZone* zone = &self._zones.items[setup.zone]
        cdef int frame = frame_of(zone.timeframe_min)
        cdef double weight
        cdef int refused, near
        if frame < 0 or self._frames[frame].ranges < self._frames[frame].atr_n:
            return NO_ATR
        refused = plan_trade(rules, self._places, zone, self._frames[frame].atr, market, found)
        if refused == NO_RISK:
            return refused
        found.setup, weight = number, self._weights[zone.kind][frame]
        found.near = <int64_t>(rules.confluence_atr * self._frames[frame].atr)     # distances are whole ticks
        found.parts[0] = zone.score / 100.0
        found.parts[1] = self._mtf(zone.side)
        found.parts[2] = self._trigger(setup)
        found.parts[3] = 1.0                    # as if there were neighbours enough
        found.parts[4] = frame_location(&self._frames[TIMEFRAMES_C - 1], zone.side, found.entry)
        sum_up(rules, weight, found)
        if refused < 0 and found.score < rules.min_score:
            refused = SCORE_TOO_LOW
        if refused >= 0 and not rules.follow and not self._facts:
            return refused                      # neighbours change nothing, and nobody asks for the score
        near = zone_book_neighbours(self._zones, setup.zone, found.near, rules.least_tf, self._found)
        near += place_book_neighbours(self._places, zone.side, zone.bottom, zone.top, found.near, rules.least_tf,
                                      self._found)
        found.parts[3] = min(1.0, <double>near / rules.confluence_full)
        sum_up(rules, weight, found)
        if refused >= 0:
            return refused
        return SCORE_TOO_LOW if found.score < rules.min_score else -1

    cdef double _mtf(self, int side) noexcept nogil:
        """Weight of the timeframes whose trend has this side, the longest first."""
        cdef double share = 0.0
        cdef int i = TIMEFRAMES_C
        while i > 0:
            i -= 1
            if self._frames[i].trend == side:
                share += self._rules.mtf[i]
        return share

    cdef double _trigger(self, const Setup* setup) noexcept nogil:
        if setup.has_sweep:
            return self._rules.sweep_and_shift if setup.shifts_n else self._rules.sweep_alone
        return self._rules.shift_alone if setup.shifts_n else 0.0

    # ------------------------------------------------------------ for Python

    cdef _count(self):
        """Bring the counters to where Python sees them."""
        cdef int i
        for i, name in enumerate(COUNTERS):
            if self._counters[i]:
                self._told[name] += self._counters[i]
                self._counters[i] = 0

    def fold(self, events, int64_t at, int64_t now_ns, int64_t bid, int64_t ask, bint live, bint facts=False):
        """Take in an EVENT_DTYPE array from index `at` on, the market being as told; returns the next index.

        When `asks` is true a choice waits for `setup_story.answer`, which comes before it only where outside facts were
        told (`facts`). When `found` is true a setup waits for `setup_story.tell`. Then call again from that index,
        until neither is.
        """
        if events.dtype != EVENT_DTYPE:
            raise ValueError(f"events must have EVENT_DTYPE, not {events.dtype}")
        cdef Market market
        cdef int64_t n = len(events)
        cdef const unsigned char[::1] raw
        market.now_ns, market.bid, market.ask, market.live = now_ns, bid, ask, live
        if not 0 <= at <= n or self._best.setup >= 0 or self._asks:
            raise ValueError(f"at must lie in 0..{n}, not {at}, and what was found or asked must be settled first")
        self._facts = facts
        if n:
            raw = events.view(np.uint8)
            at = self._fold(<const Event*>&raw[0], at, n, &market)
        self._count()
        return at

    def feed(self, ContractPipeline pipeline not None, ticks, Py_ssize_t start=0):
        """`pipeline.feed` and `fold` in one, until a setup was found or a choice asks for the outside facts, the market
        was reset, or at the end; also when other weights are due, or many outcomes have gathered.

        Returns (index after the last record taken, index of the next event of `pipeline.events` to fold).
        """
        cdef Py_ssize_t n = len(ticks), i = start
        cdef const Tick* tick = pipeline.lend(ticks, start)
        cdef Market market
        cdef int64_t at = 0
        cdef int code = 0
        with nogil:
            while True:
                i = pipeline.take(tick, i, n, &code)
                market.now_ns, market.bid, market.ask = pipeline.now_ns, pipeline.bid, pipeline.ask
                market.live = pipeline.sound()
                self._facts = self._rules.facts or pipeline.context_records > 0
                if market.now_ns >= self._weighed_until_ns:
                    break                           # other weights hold: the caller brings them, and folds
                at = self._fold(pipeline._sink.items, 0, pipeline._sink.n, &market)
                if (self._best.setup >= 0 or self._asks or code or pipeline._sink.n == 0
                        or self._outcomes.ended_n >= ENDED_MANY_C):
                    break
        pipeline.taken(i == n, code)
        self._count()
        return i, at

    @property
    def found(self):
        """A setup was found and waits for `setup_story.tell`."""
        return self._best.setup >= 0

    @property
    def asks(self):
        """A choice waits for `setup_story.answer`."""
        return bool(self._asks)

    @property
    def open_setups(self):
        """Zones that price has entered and that wait for a trigger."""
        return self._setups_n
