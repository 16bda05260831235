CREATE TABLE jobs (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    claim     TEXT NOT NULL UNIQUE,     -- what it was made from; a second insert finds the first
    digest    TEXT NOT NULL,            -- of the dropped bytes: recognises a file dropped twice
    name      TEXT NOT NULL,
    state     TEXT NOT NULL,
    reason    TEXT NOT NULL,
    attempt   INTEGER NOT NULL,
    priority  INTEGER NOT NULL,
    devices   TEXT NOT NULL,            -- JSON array
    prefix    TEXT NOT NULL,
    cancel    INTEGER NOT NULL DEFAULT 0,   -- somebody asked to end it
    submitted TEXT NOT NULL,
    changed   TEXT NOT NULL
) STRICT;
CREATE TABLE transitions (
    job INTEGER NOT NULL REFERENCES jobs (id), at TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE TABLE device_locks (device INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs (id)) STRICT;
CREATE TABLE nightly (name TEXT PRIMARY KEY, due TEXT NOT NULL) STRICT;
