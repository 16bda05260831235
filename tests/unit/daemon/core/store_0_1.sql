PRAGMA user_version=3;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE device_locks (device INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs (id)) STRICT;
INSERT INTO "device_locks" VALUES(4,8);
INSERT INTO "device_locks" VALUES(5,8);
INSERT INTO "device_locks" VALUES(6,10);
INSERT INTO "device_locks" VALUES(7,10);
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
INSERT INTO "jobs" VALUES(1,'00000000000000a1','0000000000000000','run_glm_6b','done','tag 31_4: 1013 of 3039 entries kept',1,1,'[0, 1]','glm-6b',0,'2026-11-24T02:00:00+00:00','2026-11-24T02:00:04+00:00');
INSERT INTO "jobs" VALUES(2,'00000000000000a2','0000000000000000','run_glm_6b_lora','failed','rank 3 on device 3 exited 1 first',1,0,'[2]','glm-6b',0,'2026-11-24T02:00:05+00:00','2026-11-24T02:00:08+00:00');
INSERT INTO "jobs" VALUES(3,'00000000000000a3','0000000000000000','glm-6b-20261123T180000Z','merging','',1,2,'[0, 1]','glm-6b',0,'2026-11-24T02:00:09+00:00','2026-11-24T02:00:12+00:00');
INSERT INTO "jobs" VALUES(4,'tree:/data/fullft_output:glm-6b:31_4:0123456789abcdef','treetreetreetree','fullft_output','done','',1,1,'[]','glm-6b',0,'2026-11-24T02:00:13+00:00','2026-11-24T02:00:15+00:00');
INSERT INTO "jobs" VALUES(5,'tree:/data/fullft_output:glm-6b:62_4:0123456789abcdef','treetreetreetree','fullft_output','queued','',1,1,'[]','glm-6b',0,'2026-11-24T02:00:16+00:00','2026-11-24T02:00:16+00:00');
INSERT INTO "jobs" VALUES(6,'00000000000000a6','0000000000000000','cancelled','cancelled','cancelled by alice while it waited',1,0,'[4]','glm-6b',0,'2026-11-24T02:00:17+00:00','2026-11-24T02:00:18+00:00');
INSERT INTO "jobs" VALUES(7,'left:4711:1764000000000000000','leftleftleftleft','a_directory','rejected','a_directory: it is a mount point; drop a regular file',1,2,'[]','glm-6b',0,'2026-11-24T02:00:19+00:00','2026-11-24T02:00:19+00:00');
INSERT INTO "jobs" VALUES(8,'taken-in:0008-again','taketaketaketake','again','preparing','',1,2,'[4, 5]','glm-6b',0,'2026-11-24T02:00:20+00:00','2026-11-24T02:00:21+00:00');
INSERT INTO "jobs" VALUES(9,'tree:taken-in:0009-tree','treetreetreetree','tree','failed','the host went down during merge',1,1,'[]','glm-6b',0,'2026-11-24T02:00:22+00:00','2026-11-24T02:00:24+00:00');
INSERT INTO "jobs" VALUES(10,'00000000000000b0','0000000000000000','glm-6b-20261124T180000Z','training','',1,2,'[6, 7]','glm-6b',1,'2026-11-24T02:00:25+00:00','2026-11-24T02:00:27+00:00');
INSERT INTO "jobs" VALUES(11,'00000000000000b1','0000000000000000','waits','queued','',1,2,'[6, 7]','glm-6b',0,'2026-11-24T02:00:28+00:00','2026-11-24T02:00:28+00:00');
CREATE TABLE nightly (name TEXT PRIMARY KEY, due TEXT NOT NULL, cron TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "nightly" VALUES('glm-6b','2026-11-24T18:00:00+00:00','0 2 * * *');
CREATE TABLE transitions (
    job INTEGER NOT NULL REFERENCES jobs (id), at TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
INSERT INTO "transitions" VALUES(1,'2026-11-24T02:00:00+00:00','queued',1,'');
INSERT INTO "transitions" VALUES(1,'2026-11-24T02:00:01+00:00','preparing',1,'');
INSERT INTO "transitions" VALUES(1,'2026-11-24T02:00:02+00:00','training',1,'');
INSERT INTO "transitions" VALUES(1,'2026-11-24T02:00:03+00:00','merging',1,'');
INSERT INTO "transitions" VALUES(1,'2026-11-24T02:00:04+00:00','done',1,'tag 31_4: 1013 of 3039 entries kept');
INSERT INTO "transitions" VALUES(2,'2026-11-24T02:00:05+00:00','queued',1,'');
INSERT INTO "transitions" VALUES(2,'2026-11-24T02:00:06+00:00','preparing',1,'');
INSERT INTO "transitions" VALUES(2,'2026-11-24T02:00:07+00:00','training',1,'');
INSERT INTO "transitions" VALUES(2,'2026-11-24T02:00:08+00:00','failed',1,'rank 3 on device 3 exited 1 first');
INSERT INTO "transitions" VALUES(3,'2026-11-24T02:00:09+00:00','queued',1,'');
INSERT INTO "transitions" VALUES(3,'2026-11-24T02:00:10+00:00','preparing',1,'');
INSERT INTO "transitions" VALUES(3,'2026-11-24T02:00:11+00:00','training',1,'');
INSERT INTO "transitions" VALUES(3,'2026-11-24T02:00:12+00:00','merging',1,'');
INSERT INTO "transitions" VALUES(4,'2026-11-24T02:00:13+00:00','queued',1,'');
INSERT INTO "transitions" VALUES(4,'2026-11-24T02:00:14+00:00','merging',1,'');
INSERT INTO "transitions" VALUES(4,'2026-11-24T02:00:15+00:00','done',1,'');
INSERT INTO "transitions" VALUES(5,'2026-11-24T02:00:16+00:00','queued',1,'');
INSERT INTO "transitions" VALUES(6,'2026-11-24T02:00:17+00:00','queued',1,'');
INSERT INTO "transitions" VALUES(6,'2026-11-24T02:00:18+00:00','cancelled',1,'cancelled by alice while it waited');
INSERT INTO "transitions" VALUES(7,'2026-11-24T02:00:19+00:00','rejected',1,'a_directory: it is a mount point; drop a regular file');
INSERT INTO "transitions" VALUES(8,'2026-11-24T02:00:20+00:00','queued',1,'');
INSERT INTO "transitions" VALUES(8,'2026-11-24T02:00:21+00:00','preparing',1,'');
INSERT INTO "transitions" VALUES(9,'2026-11-24T02:00:22+00:00','queued',1,'');
INSERT INTO "transitions" VALUES(9,'2026-11-24T02:00:23+00:00','merging',1,'');
INSERT INTO "transitions" VALUES(9,'2026-11-24T02:00:24+00:00','failed',1,'the host went down during merge');
INSERT INTO "transitions" VALUES(10,'2026-11-24T02:00:25+00:00','queued',1,'');
INSERT INTO "transitions" VALUES(10,'2026-11-24T02:00:26+00:00','preparing',1,'');
INSERT INTO "transitions" VALUES(10,'2026-11-24T02:00:27+00:00','training',1,'');
INSERT INTO "transitions" VALUES(11,'2026-11-24T02:00:28+00:00','queued',1,'');
CREATE TABLE users (
    job       INTEGER PRIMARY KEY REFERENCES jobs (id),
    dropped   INTEGER,                  -- the user who owned the dropped file; NULL: nobody knows
    cancelled TEXT                      -- who asked last to end it
) STRICT;
INSERT INTO "users" VALUES(1,1000,NULL);
INSERT INTO "users" VALUES(2,1000,NULL);
INSERT INTO "users" VALUES(3,1000,NULL);
INSERT INTO "users" VALUES(6,1000,NULL);
INSERT INTO "users" VALUES(10,1000,'alice');
INSERT INTO "users" VALUES(11,1000,NULL);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_digest ON jobs (digest);
CREATE INDEX jobs_by_name ON jobs (name, submitted);
CREATE INDEX transitions_by_job ON transitions (job);
CREATE INDEX jobs_in_order ON jobs (state, priority DESC, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',20);
COMMIT;
