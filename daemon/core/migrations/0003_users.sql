-- Who dropped a job, and who ended it.
CREATE TABLE users (
    job       INTEGER PRIMARY KEY REFERENCES jobs (id),
    dropped   INTEGER,                  -- the user who owned the dropped file; NULL: nobody knows
    cancelled TEXT                      -- who asked last to end it
) STRICT;
