-- The journal: one append-only table. Every row names the hash of the row before it, so that nothing can be changed,
-- taken out or put in unseen; the head (last seq and hash) stands in a second file beside this one.
-- Written by the executor alone through one connection; everybody else opens the file read-only.

CREATE TABLE record (
    seq        INTEGER PRIMARY KEY,   -- 1, 2, 3 ... without a hole
    boot_ns    INTEGER NOT NULL,      -- boot clock of this machine when it was recorded
    market_ns  INTEGER NOT NULL,      -- market time (UTC ns) of the input that the row belongs to
    account    INTEGER,               -- gateway account id, null when it concerns none or all
    direction  TEXT NOT NULL CHECK (direction IN ('start', 'in', 'out', 'note')),
    kind       TEXT NOT NULL,         -- class name in domain/messages.py; RunInfo for direction 'start'
    body       BLOB NOT NULL,         -- JSON
    previous   BLOB NOT NULL,         -- hash of row seq - 1
    hash       BLOB NOT NULL          -- BLAKE2b-256 of everything above
) STRICT;

CREATE TRIGGER record_is_never_changed BEFORE UPDATE ON record
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER record_is_never_deleted BEFORE DELETE ON record
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

-- What people ask about (signals, round trips, states, starts) is a few rows among very many timers, so only those others
-- are indexed: the timers cost nothing more to write. A query must name the condition to be given the index. Further
-- indexes do not pay: within a kind the index is in order of seq, accounts are few, and market time is read on the way.
CREATE INDEX record_by_kind ON record (kind) WHERE kind <> 'TimerIn';

-- One line for each start of an executor, read from the chained rows themselves.
CREATE VIEW meta AS
SELECT seq,
       json_extract(CAST(body AS TEXT), '$.run_id') AS run_id,
       json_extract(CAST(body AS TEXT), '$.build') AS build,
       json_extract(CAST(body AS TEXT), '$.config_hash') AS config_hash,
       json_extract(CAST(body AS TEXT), '$.mode') AS mode,
       json_extract(CAST(body AS TEXT), '$.started_ns') AS started_ns
FROM record WHERE direction = 'start';
