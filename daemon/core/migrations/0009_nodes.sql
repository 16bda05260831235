-- On how many nodes of Slurm's a job trains, and with how many ranks in all; 0 for one a device of this host.
ALTER TABLE jobs ADD COLUMN nodes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN ranks INTEGER NOT NULL DEFAULT 0;
