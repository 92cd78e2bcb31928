-- The keeper's records. What is secret in them is sealed under the master key, which is not here.
-- `mark` numbers the changes of all records that other processes follow.

CREATE TABLE credential (
    no          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    removed_at  INTEGER,
    revision    INTEGER NOT NULL,
    mark        INTEGER NOT NULL,
    document    TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX credential_by_name ON credential (name) WHERE removed_at IS NULL;
CREATE INDEX credential_by_mark ON credential (mark);
CREATE INDEX credential_removed ON credential (removed_at) WHERE removed_at IS NOT NULL;

CREATE TABLE consumer (
    no          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    revoked_at  INTEGER,
    revision    INTEGER NOT NULL,
    mark        INTEGER NOT NULL,
    document    TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX consumer_by_name ON consumer (name) WHERE revoked_at IS NULL;
CREATE INDEX consumer_by_mark ON consumer (mark);
CREATE INDEX consumer_revoked ON consumer (revoked_at) WHERE revoked_at IS NOT NULL;

-- The customer is empty for a credential's own token.
CREATE TABLE slot (
    credential    INTEGER NOT NULL,
    customer      TEXT    NOT NULL,
    intent_fence  INTEGER,
    answer        BLOB,
    revision      INTEGER NOT NULL,
    mark          INTEGER NOT NULL,
    document      TEXT    NOT NULL,
    PRIMARY KEY (credential, customer)
) STRICT;
CREATE INDEX slot_by_mark ON slot (mark);

CREATE TABLE slot_history (
    credential  INTEGER NOT NULL,
    customer    TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    document    TEXT    NOT NULL,
    PRIMARY KEY (credential, customer, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE quota_call (
    dialect  TEXT    NOT NULL,
    app      TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    day      INTEGER NOT NULL,
    calls    INTEGER NOT NULL,
    PRIMARY KEY (dialect, app, kind, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX quota_call_by_day ON quota_call (day);

CREATE TABLE code_exchange (
    credential    INTEGER NOT NULL,
    code          BLOB    NOT NULL,
    begun_at      INTEGER NOT NULL,
    is_open       INTEGER NOT NULL,
    intent_fence  INTEGER,
    answer        BLOB,
    revision      INTEGER NOT NULL,
    document      TEXT    NOT NULL,
    PRIMARY KEY (credential, code)
) STRICT;
CREATE INDEX code_exchange_open ON code_exchange (credential, code) WHERE is_open = 1;
CREATE INDEX code_exchange_ended ON code_exchange (begun_at) WHERE is_open = 0;

INSERT INTO meta (name, value) VALUES ('change_mark', 0);
