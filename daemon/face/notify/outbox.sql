BEGIN IMMEDIATE;
-- Up to where glmd's store was read.
CREATE TABLE places (history TEXT PRIMARY KEY, number INTEGER NOT NULL, at TEXT NOT NULL) STRICT;
-- What goes on for a while, see daemon.face.notify.lasting.
CREATE TABLE lasting (
    key     TEXT PRIMARY KEY,
    kind    TEXT NOT NULL,
    text    TEXT NOT NULL,
    code    TEXT NOT NULL,
    job     INTEGER,
    attempt INTEGER,
    name    TEXT NOT NULL,
    since   TEXT NOT NULL,
    told    INTEGER NOT NULL,               -- how often
    last    TEXT                            -- when it was told last
) STRICT;
CREATE TABLE events (
    id          INTEGER PRIMARY KEY,
    destination TEXT NOT NULL,
    key         TEXT NOT NULL,
    kind        TEXT NOT NULL,
    at          TEXT NOT NULL,
    text        TEXT NOT NULL,
    code        TEXT NOT NULL,
    job         INTEGER,
    attempt     INTEGER,
    name        TEXT NOT NULL,
    is_over     INTEGER NOT NULL,
    urgent      INTEGER NOT NULL,
    message     TEXT,                       -- NULL while it is in none; empty: nobody is told of it
    UNIQUE (destination, key)
) STRICT;
CREATE INDEX events_to_tell ON events (destination, urgent, id) WHERE message IS NULL;
CREATE INDEX events_of_message ON events (message);
CREATE TABLE messages (
    id          TEXT PRIMARY KEY,
    destination TEXT NOT NULL,
    made        TEXT NOT NULL,
    urgent      INTEGER NOT NULL,
    title       TEXT NOT NULL,
    text        TEXT NOT NULL,
    document    TEXT NOT NULL,              -- JSON
    state       TEXT NOT NULL,
    tries       INTEGER NOT NULL,
    due         TEXT NOT NULL,              -- when it is tried next
    answer      TEXT NOT NULL               -- what came of the last try
) STRICT;
CREATE INDEX messages_by_state ON messages (state, destination);
CREATE INDEX messages_by_time ON messages (destination, made);
-- Destinations that want nothing any more.
CREATE TABLE gone (destination TEXT PRIMARY KEY, at TEXT NOT NULL, told TEXT NOT NULL) STRICT;
-- Nights whose digest was made.
CREATE TABLE digests (night TEXT PRIMARY KEY) STRICT;
PRAGMA user_version = 1;
COMMIT;
