-- What was good once and was used: wallets' assertions. A row goes a while after its time.

CREATE TABLE spent_nonce (
    digest      bytea   PRIMARY KEY,
    expires_at  bigint  NOT NULL
);
CREATE INDEX spent_nonce_by_end ON spent_nonce (expires_at);
