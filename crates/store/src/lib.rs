//! The only room that knows SQL: memory, SQLite and PostgreSQL behind the protocol's ports.
