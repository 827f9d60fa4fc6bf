"""What stands in ``index.sqlite``: the schema, its version, and how older ones become it.

The schema is public, documented in ``docs/index.md``; a change of it is a new version with its
step in `MIGRATIONS`, and a frozen index of the old version in ``tests/data``.
"""

import sqlite3

APPLICATION_ID = 0x484F4C44  # "HOLD", at a fixed place of the file, for tools such as file(1)
VERSION = 2

_FILES = """
CREATE TABLE store (
    name TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;

CREATE TABLE seen (
    folder TEXT PRIMARY KEY,
    inode INTEGER,
    signature TEXT,
    look INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX seen_look ON seen (look) WHERE look > 0;
"""

_RUNS = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    folder TEXT NOT NULL UNIQUE,
    run_id TEXT NOT NULL,
    task TEXT,
    identity TEXT UNIQUE,
    replicate INTEGER,
    seed,
    drawn_seed,
    group_name TEXT,
    group_pattern TEXT,
    code TEXT,
    attempt INTEGER,
    status TEXT,
    state TEXT NOT NULL,
    timestamp REAL,
    started TEXT,
    finished TEXT,
    runtime REAL,
    reason TEXT,
    problem TEXT,
    params TEXT NOT NULL DEFAULT '{}',
    metrics TEXT NOT NULL DEFAULT '{}'
);

CREATE TABLE params (
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    value,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;
"""

_METRICS = """
CREATE TABLE metrics (
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    value,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;
"""

_INDEXES = """
CREATE INDEX params_value ON params (name, value);
CREATE INDEX metrics_value ON metrics (name, value);
CREATE INDEX runs_task ON runs (task);
CREATE INDEX runs_state ON runs (state);
CREATE INDEX runs_group ON runs (group_name);
CREATE INDEX runs_timestamp ON runs (timestamp, folder);
CREATE INDEX runs_problem ON runs (folder) WHERE problem IS NOT NULL;
"""

_VIEW = """
CREATE VIEW experiments AS
SELECT
    id,
    (SELECT value FROM store WHERE name = 'directory') || '/' || folder AS directory,
    run_id, task, status, state, timestamp, started, finished, runtime,
    group_name, replicate, seed, drawn_seed, reason, params, metrics
FROM runs;
"""

# 1 knew no metrics. Every run is looked at once more, since those of ended ones are missing.
_FROM_1 = """
ALTER TABLE runs ADD COLUMN metrics TEXT NOT NULL DEFAULT '{}';
CREATE INDEX metrics_value ON metrics (name, value);
CREATE INDEX runs_problem ON runs (folder) WHERE problem IS NOT NULL;
DROP INDEX runs_timestamp;
CREATE INDEX runs_timestamp ON runs (timestamp, folder);
DROP VIEW experiments;
UPDATE seen SET look = 1, signature = '';
"""

MIGRATIONS = {1: _METRICS + _FROM_1 + _VIEW}
"""What makes a schema of a version one of the next."""


def create(connection: sqlite3.Connection) -> None:
    """Make the tables; `create_indexes` follows, after a bulk of rows rather than before it."""
    connection.executescript(_FILES + _RUNS + _METRICS)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def create_indexes(connection: sqlite3.Connection) -> None:
    """Make what finds rows by their values, and the view for other tools."""
    connection.executescript(_INDEXES + _VIEW)


def version_of(connection: sqlite3.Connection) -> int | None:
    """Return the version of the schema of a file, None if it is no index."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version) if application == APPLICATION_ID else None


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an older schema to this version, all of it or nothing."""
    for version in range(version_of(connection) or 0, VERSION):
        connection.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[version]} PRAGMA user_version = {version + 1}; COMMIT;"
        )
