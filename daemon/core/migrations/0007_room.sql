-- What glmd has removed of jobs that are over, see daemon.core.prunings. One that has not ended is carried on.
CREATE TABLE prunings (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    job    INTEGER NOT NULL,
    part   TEXT NOT NULL,
    bytes  INTEGER NOT NULL,
    begun  TEXT NOT NULL,               -- in UTC
    ended  TEXT,                        -- NULL while some of it may still be in its place
    by     TEXT NOT NULL,               -- who asked; empty: glmd by itself
    reason TEXT NOT NULL
) STRICT;
-- From which job on glmd prunes by itself: what was there before glmd knew how stays until somebody asks.
CREATE TABLE retention (first INTEGER NOT NULL) STRICT;
INSERT INTO retention (first) SELECT COALESCE(MAX(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'jobs';
-- What somebody should know and is no job's transition, see daemon.core.notices.
CREATE TABLE notices (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     TEXT NOT NULL,               -- in UTC
    kind   TEXT NOT NULL,
    job    INTEGER,
    cycle  TEXT,                        -- NULL: it is about none, or several
    due    TEXT,                        -- of the night that it is about, in UTC
    text   TEXT NOT NULL,
    passed TEXT                         -- when it was no longer so; NULL while it is
) STRICT;
-- What a job's shards took when it was over; NULL where it left none, or an older glmd has looked.
ALTER TABLE results ADD COLUMN shards INTEGER;
-- Since when a cycle is counted by its expression and zone, in UTC: of times before nothing is overdue.
ALTER TABLE nightly ADD COLUMN since TEXT NOT NULL DEFAULT '';
UPDATE nightly SET since = due;
