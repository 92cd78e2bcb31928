-- What was good once and was used: wallets' assertions. A row goes a while after its time.

CREATE TABLE spent_nonce (
    digest      BLOB    PRIMARY KEY,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_nonce_by_end ON spent_nonce (expires_at);
