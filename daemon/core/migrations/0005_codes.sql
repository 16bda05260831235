-- What programs tell a reason by; empty where nothing says it.
ALTER TABLE jobs ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE transitions ADD COLUMN code TEXT NOT NULL DEFAULT '';
