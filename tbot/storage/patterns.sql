CREATE TABLE outcome (
    seq INTEGER PRIMARY KEY,
    contract TEXT NOT NULL,
    kind TEXT NOT NULL,             -- of the zone: ob, fvg, ifvg, breaker, mitigation
    timeframe_min INTEGER NOT NULL,
    side INTEGER NOT NULL,          -- +1 long, -1 short
    stage TEXT NOT NULL,            -- trigger: where the strategy would enter; test: at once, without a trigger
    fate TEXT NOT NULL,             -- signal: it was one; else why it was none
    ended TEXT NOT NULL,            -- stop, target, time, break (of the session), unclean (no result)
    day TEXT NOT NULL,              -- trading date on which the result was known
    session TEXT NOT NULL,          -- asia, london, new_york: of the decision
    hour INTEGER NOT NULL,          -- of the decision, Chicago
    zone_id INTEGER NOT NULL,
    test INTEGER NOT NULL,
    nth INTEGER NOT NULL,
    together INTEGER NOT NULL,
    born_ns INTEGER NOT NULL,       -- UTC
    decided_ns INTEGER NOT NULL,
    ended_ns INTEGER NOT NULL,
    resolved_ns INTEGER NOT NULL,   -- from then on it may influence a later trading day
    entry INTEGER NOT NULL,         -- ticks
    stop INTEGER NOT NULL,
    target INTEGER NOT NULL,
    exit INTEGER NOT NULL,
    against INTEGER NOT NULL,
    favour INTEGER NOT NULL,
    bars INTEGER NOT NULL,
    score REAL NOT NULL,            -- before the weight
    weight REAL NOT NULL,
    zone_part REAL NOT NULL,
    mtf REAL NOT NULL,
    trigger REAL NOT NULL,
    confluence REAL NOT NULL,
    location REAL NOT NULL,
    trend TEXT NOT NULL,            -- of 1h beside the trade: with, against, none
    pace TEXT NOT NULL,             -- calm, usual, lively, unknown
    atr_zone REAL NOT NULL,         -- ticks
    atr_entry REAL NOT NULL,
    atr_hour REAL NOT NULL,
    result_ticks INTEGER NOT NULL,  -- before costs
    cost_cents INTEGER NOT NULL,    -- of one contract, in and out
    result_r REAL NOT NULL,         -- after costs, in units of the distance to the stop
    signal_id TEXT NOT NULL         -- that a signal of it has or would have had
);
CREATE UNIQUE INDEX outcome_once ON outcome (contract, decided_ns, stage, kind, timeframe_min, side, born_ns, entry, stop);
CREATE INDEX outcome_by_signal ON outcome (signal_id);
CREATE TABLE version (
    seq INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    day TEXT NOT NULL,              -- first trading date on which these weights hold
    outcomes INTEGER NOT NULL       -- that they rest on
);
CREATE TABLE weight (
    version INTEGER NOT NULL REFERENCES version (seq),
    contract TEXT NOT NULL,
    kind TEXT NOT NULL,
    timeframe_min INTEGER NOT NULL,
    outcomes INTEGER NOT NULL,
    edge_r REAL NOT NULL,
    weight REAL NOT NULL,
    PRIMARY KEY (version, contract, kind, timeframe_min)
);
CREATE TABLE mark (
    seq INTEGER PRIMARY KEY,
    what TEXT NOT NULL,             -- freeze, unfreeze, reset
    at_ns INTEGER NOT NULL,
    after_outcome INTEGER NOT NULL  -- seq of the last outcome before it
);
CREATE TABLE trip (                 -- round trips that really happened, as the journal has them
    account INTEGER NOT NULL,
    contract TEXT NOT NULL,
    opened_ns INTEGER NOT NULL,
    closed_ns INTEGER NOT NULL,
    signal_id TEXT NOT NULL,
    side INTEGER NOT NULL,
    size INTEGER NOT NULL,
    gross_cents INTEGER NOT NULL,
    cost_cents INTEGER NOT NULL,
    exit_reason TEXT NOT NULL,
    PRIMARY KEY (account, contract, opened_ns)
);
CREATE INDEX trip_by_signal ON trip (signal_id);
CREATE TABLE denial (               -- signals that the Desk did not take
    account INTEGER NOT NULL,
    signal_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (account, signal_id)
);
