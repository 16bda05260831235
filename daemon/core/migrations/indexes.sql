-- They change no meaning, so a store of any version gets those that it lacks.
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state);
CREATE INDEX IF NOT EXISTS jobs_by_digest ON jobs (digest);
CREATE INDEX IF NOT EXISTS jobs_by_name ON jobs (name, submitted);
CREATE INDEX IF NOT EXISTS transitions_by_job ON transitions (job);
CREATE INDEX IF NOT EXISTS jobs_in_order ON jobs (state, priority DESC, id);
CREATE INDEX IF NOT EXISTS jobs_by_cycle ON jobs (cycle, id);
CREATE INDEX IF NOT EXISTS nightly_runs_by_due ON nightly_runs (due);
CREATE INDEX IF NOT EXISTS promotions_by_job ON promotions (job);
CREATE INDEX IF NOT EXISTS promotions_by_prefix ON promotions (prefix, id);
CREATE INDEX IF NOT EXISTS prunings_by_job ON prunings (job);
CREATE INDEX IF NOT EXISTS notices_that_last ON notices (kind, cycle) WHERE passed IS NULL;
CREATE INDEX IF NOT EXISTS prunings_that_go_on ON prunings (id) WHERE ended IS NULL;
