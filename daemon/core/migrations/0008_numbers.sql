-- A number for each transition that stays, whatever SQLite does to the file: whoever tells people goes on behind it.
CREATE TABLE numbered (
    id INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs (id), at TEXT NOT NULL, state TEXT NOT NULL,
    attempt INTEGER NOT NULL, reason TEXT NOT NULL, code TEXT NOT NULL DEFAULT ''
) STRICT;
INSERT INTO numbered SELECT rowid, job, at, state, attempt, reason, code FROM transitions;
DROP TABLE transitions;
ALTER TABLE numbered RENAME TO transitions;
