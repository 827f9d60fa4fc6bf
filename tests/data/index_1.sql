-- The index of a store as version 1 of its schema kept it: frozen, never to be changed.
PRAGMA application_id = 1213156420;
PRAGMA user_version = 1;
CREATE TABLE store (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE seen (folder TEXT PRIMARY KEY, inode INTEGER, signature TEXT, look INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_look ON seen (look) WHERE look > 0;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, folder TEXT NOT NULL UNIQUE, run_id TEXT NOT NULL, task TEXT, identity TEXT UNIQUE,
    replicate INTEGER, seed, drawn_seed, group_name TEXT, group_pattern TEXT, code TEXT, attempt INTEGER,
    status TEXT, state TEXT NOT NULL, timestamp REAL, started TEXT, finished TEXT, runtime REAL, reason TEXT,
    problem TEXT, params TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE params (run INTEGER NOT NULL, name TEXT NOT NULL, value, PRIMARY KEY (run, name)) WITHOUT ROWID;
CREATE INDEX params_value ON params (name, value);
CREATE INDEX runs_task ON runs (task);
CREATE INDEX runs_state ON runs (state);
CREATE INDEX runs_group ON runs (group_name);
CREATE INDEX runs_timestamp ON runs (timestamp);
CREATE VIEW experiments AS
SELECT
    id, (SELECT value FROM store WHERE name = 'directory') || '/' || folder AS directory,
    run_id, task, status, state, timestamp, started, finished, runtime,
    group_name, replicate, seed, drawn_seed, reason, params
FROM runs;
INSERT INTO store VALUES ('directory', '/data/store'), ('stamp', '1.2.3.4'), ('boot', 'b00t');
INSERT INTO seen VALUES ('log_one', 5, '1.2.3.4  ', 0), ('log_gone', 6, '1.2.3.4  ', 0);
INSERT INTO runs VALUES
    (7, 'log_one', 'one', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, 'complete', 'complete',
     1760000000.0, '2025-10-09T08:53:20+00:00', '2025-10-09T08:53:21+00:00', 1.0, NULL, NULL, '{"dt":0.1}'),
    (8, 'log_gone', 'gone', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, 'complete', 'complete',
     1760000001.0, '2025-10-09T08:53:21+00:00', '2025-10-09T08:53:22+00:00', 1.0, NULL, NULL, '{"dt":0.2}');
INSERT INTO params VALUES (7, 'dt', 0.1), (8, 'dt', 0.2);
