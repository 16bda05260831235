-- By which expression `due` was counted; empty: nobody remembers. `due` is told with its zone's offset since.
ALTER TABLE nightly ADD COLUMN cron TEXT NOT NULL DEFAULT '';
