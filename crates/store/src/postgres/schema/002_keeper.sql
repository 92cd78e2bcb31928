-- The keeper's records. What is secret in them is sealed under the master key, which is not here.
-- `mark` is the transaction that changed a record last: other processes follow it.

CREATE TABLE credential (
    no          bigint PRIMARY KEY,
    name        text    NOT NULL,
    removed_at  bigint ,
    revision    bigint  NOT NULL,
    mark        bigint  NOT NULL,
    document    text    NOT NULL
);
CREATE UNIQUE INDEX credential_by_name ON credential (name) WHERE removed_at IS NULL;
CREATE INDEX credential_by_mark ON credential (mark);
CREATE INDEX credential_removed ON credential (removed_at) WHERE removed_at IS NOT NULL;

CREATE TABLE consumer (
    no          bigint PRIMARY KEY,
    name        text    NOT NULL,
    revoked_at  bigint ,
    revision    bigint  NOT NULL,
    mark        bigint  NOT NULL,
    document    text    NOT NULL
);
CREATE UNIQUE INDEX consumer_by_name ON consumer (name) WHERE revoked_at IS NULL;
CREATE INDEX consumer_by_mark ON consumer (mark);
CREATE INDEX consumer_revoked ON consumer (revoked_at) WHERE revoked_at IS NOT NULL;

-- The customer is empty for a credential's own token.
CREATE TABLE slot (
    credential    bigint  NOT NULL,
    customer      text    COLLATE "C" NOT NULL,
    intent_fence  bigint ,
    answer        bytea,
    revision      bigint  NOT NULL,
    mark          bigint  NOT NULL,
    document      text    NOT NULL,
    PRIMARY KEY (credential, customer)
);
CREATE INDEX slot_by_mark ON slot (mark);

CREATE TABLE slot_history (
    credential  bigint  NOT NULL,
    customer    text    COLLATE "C" NOT NULL,
    revision    bigint  NOT NULL,
    document    text    NOT NULL,
    PRIMARY KEY (credential, customer, revision)
);

CREATE TABLE quota_call (
    dialect  text    NOT NULL,
    app      text    NOT NULL,
    kind     text    NOT NULL,
    day      bigint  NOT NULL,
    calls    bigint  NOT NULL,
    PRIMARY KEY (dialect, app, kind, day)
);
CREATE INDEX quota_call_by_day ON quota_call (day);

CREATE TABLE code_exchange (
    credential    bigint  NOT NULL,
    code          bytea    NOT NULL,
    begun_at      bigint  NOT NULL,
    is_open       boolean NOT NULL,
    intent_fence  bigint ,
    answer        bytea,
    revision      bigint  NOT NULL,
    document      text    NOT NULL,
    PRIMARY KEY (credential, code)
);
CREATE INDEX code_exchange_open ON code_exchange (credential, code) WHERE is_open;
CREATE INDEX code_exchange_ended ON code_exchange (begun_at) WHERE NOT is_open;
