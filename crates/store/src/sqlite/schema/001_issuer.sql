-- The issuer's records. Times are milliseconds since the Unix epoch, UTC.

CREATE TABLE app (
    no        INTEGER PRIMARY KEY,
    id        TEXT    NOT NULL UNIQUE,
    revision  INTEGER NOT NULL,
    document  TEXT    NOT NULL
) STRICT;

CREATE TABLE pool (
    app                  INTEGER NOT NULL,
    kind                 INTEGER NOT NULL,
    salt                 BLOB    NOT NULL,
    generation           INTEGER NOT NULL,
    issued_at            INTEGER NOT NULL,
    expires_at           INTEGER NOT NULL,
    previous_generation  INTEGER,
    previous_issued_at   INTEGER,
    previous_expires_at  INTEGER,
    token_epoch          INTEGER NOT NULL,
    quota_day            INTEGER NOT NULL,
    used_today           INTEGER NOT NULL,
    forced_today         INTEGER NOT NULL,
    forced_at            INTEGER,
    revision             INTEGER NOT NULL,
    PRIMARY KEY (app, kind)
) STRICT, WITHOUT ROWID;

-- Ids grow with time, so that new grants land at the table's end.
CREATE TABLE grant_record (
    id                   INTEGER PRIMARY KEY,
    app                  INTEGER NOT NULL,
    customer             TEXT    NOT NULL,
    scopes               TEXT    NOT NULL,
    salt                 BLOB    NOT NULL,
    stage                INTEGER NOT NULL,
    code_expires_at      INTEGER NOT NULL,
    spent_at             INTEGER,
    revoked_at           INTEGER,
    generation           INTEGER,
    issued_at            INTEGER,
    expires_at           INTEGER,
    refresh_expires_at   INTEGER,
    previous_generation  INTEGER,
    previous_issued_at   INTEGER,
    previous_expires_at  INTEGER,
    made_by              BLOB,
    token_epoch          INTEGER NOT NULL,
    revision             INTEGER NOT NULL
) STRICT;

-- The one index: lists an app's grants, an app's grants of a customer, and by way of the apps a customer's.
CREATE INDEX grant_record_by_app ON grant_record (app, customer);

CREATE TABLE customer (
    id        TEXT PRIMARY KEY,
    document  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE service (
    id        TEXT PRIMARY KEY,
    document  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE platform_key (
    purpose  TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    sealed   BLOB    NOT NULL,
    PRIMARY KEY (purpose, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    n           INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    actor       TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    address     TEXT,
    request_id  TEXT    NOT NULL
) STRICT;
