-- The issuer's records. Times are milliseconds since the Unix epoch, UTC.
-- Fill factors leave room on the page for the row's next version, which then touches no index.

CREATE TABLE app (
    no        bigint PRIMARY KEY,
    id        text    COLLATE "C" NOT NULL UNIQUE,
    revision  bigint  NOT NULL,
    document  text    NOT NULL
);

CREATE TABLE pool (
    app                  bigint  NOT NULL,
    kind                 smallint NOT NULL,
    salt                 bytea    NOT NULL,
    generation           bigint  NOT NULL,
    issued_at            bigint  NOT NULL,
    expires_at           bigint  NOT NULL,
    previous_generation  bigint ,
    previous_issued_at   bigint ,
    previous_expires_at  bigint ,
    token_epoch          bigint  NOT NULL,
    quota_day            bigint  NOT NULL,
    used_today           bigint  NOT NULL,
    forced_today         bigint  NOT NULL,
    forced_at            bigint ,
    revision             bigint  NOT NULL,
    PRIMARY KEY (app, kind)
) WITH (fillfactor = 50);

-- Ids grow with time, so that new grants land at the table's end. What is neither looked up nor guarded is packed
-- into `body` (postgres/packed.rs). From `gone_at` on, in minutes since the
-- epoch, the record may be deleted. Each code leaves a dead version when
-- it is exchanged; vacuuming gives that room to new codes before it adds up.
CREATE TABLE grant_record (
    id        bigint PRIMARY KEY,
    app       bigint  NOT NULL,
    gone_at   integer NOT NULL,
    revision  integer NOT NULL,
    customer  text    NOT NULL,
    body      bytea   NOT NULL
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000);

-- The one index: lists an app's grants, an app's grants of a customer, and by way of the apps a customer's.
-- Customers' ids differ at their end, and a grant has only so many bytes.
CREATE INDEX grant_record_by_app ON grant_record (app, right(customer, 6));

CREATE TABLE customer (
    id        text PRIMARY KEY,
    document  text NOT NULL
);

CREATE TABLE service (
    id        text PRIMARY KEY,
    document  text NOT NULL
);

CREATE TABLE platform_key (
    purpose  text    NOT NULL,
    version  bigint  NOT NULL,
    sealed   bytea    NOT NULL,
    PRIMARY KEY (purpose, version)
);

CREATE TABLE audit (
    n           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          bigint  NOT NULL,
    actor       text    NOT NULL,
    action      text    NOT NULL,
    subject     text    NOT NULL,
    address     text,
    request_id  text    NOT NULL
);
