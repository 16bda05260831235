-- What a job was made of, see daemon.core.states.Source. Until now its claim began with it, but for nights: those are
-- known by the names of their runs, for cycles that the settings no longer have are remembered nowhere.
ALTER TABLE jobs ADD COLUMN source TEXT NOT NULL DEFAULT 'drop';
UPDATE jobs SET source = 'tree' WHERE substr(claim, 1, 5) = 'tree:';
UPDATE jobs SET source = 'night' WHERE source = 'drop' AND name NOT GLOB '*[^A-Za-z0-9_-]*'
    AND name GLOB '?*-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z';
