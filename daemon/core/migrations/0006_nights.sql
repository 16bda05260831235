-- Of which nightly cycle a job is a run; empty: of none. A run's name is CYCLE-YYYYMMDDTHHMMSSZ.
ALTER TABLE jobs ADD COLUMN cycle TEXT NOT NULL DEFAULT '';
UPDATE jobs SET cycle = substr(name, 1, length(name) - 17) WHERE source = 'night';
-- From which job's output a training went on; NULL: from none, or nobody knows.
ALTER TABLE jobs ADD COLUMN continues INTEGER;
-- What a job came to. A job that is over and has no row was not looked at yet; NULL: there is nothing to be known.
CREATE TABLE results (
    job        INTEGER PRIMARY KEY REFERENCES jobs (id),
    final_loss REAL,                    -- mean of the last steps; NULL also where it is not finite
    best_loss  REAL,
    seconds    REAL,                    -- that its steps ran
    bytes      INTEGER                  -- of its merged output
) STRICT;
-- What became of each time that a cycle was due, see daemon.core.night_runs.
CREATE TABLE nightly_runs (
    cycle   TEXT NOT NULL,
    due     TEXT NOT NULL,              -- in UTC
    at      TEXT NOT NULL,              -- when that was known, in UTC
    outcome TEXT NOT NULL,
    job     INTEGER,                    -- NULL until the dropped file is a job, and where none was dropped
    reason  TEXT NOT NULL,
    code    TEXT NOT NULL,
    PRIMARY KEY (cycle, due)
) STRICT;
-- In which zone a cycle was counted; empty: in the host's, or nobody knows.
ALTER TABLE nightly ADD COLUMN timezone TEXT NOT NULL DEFAULT '';
-- What latest/PREFIX has led to, oldest first: nothing is ever taken out.
CREATE TABLE promotions (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    prefix   TEXT NOT NULL,
    kind     TEXT NOT NULL,             -- see daemon.core.promotions
    job      INTEGER,                   -- NULL where what is promoted is no job's that glmd knows
    cycle    TEXT NOT NULL,             -- of that job
    target   TEXT NOT NULL,             -- where its output is, from the root; empty where the link was removed
    at       TEXT NOT NULL,             -- in UTC
    by       TEXT NOT NULL,             -- who asked; empty: glmd by itself
    reason   TEXT NOT NULL,
    undone   INTEGER REFERENCES promotions (id),    -- the rollback that took it back
    followed INTEGER NOT NULL DEFAULT 0             -- whether the link was seen to lead there since
) STRICT;
