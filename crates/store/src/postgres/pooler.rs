//! Whether a pooler stands before the database that gives a connection's session to others in between.
//!
//! Sessions are what listening, prepared statements and each connection's own settings live in.

use deadpool_postgres::ClientWrapper;
use tokio_postgres::SimpleQueryMessage;

use super::connections::Connections;
use super::fault::Fault;

/// How often it is looked. A pooler takes the session that was used last, unless somebody else was quicker.
const LOOKS: usize = 3;

/// Whether two connections that are open at once, one of them within a transaction, are the same session.
pub async fn is_session_shared(connections: &Connections) -> Result<bool, Fault> {
    let (mut one, mut other) = (connections.get().await?, connections.get().await?);
    for _ in 0..LOOKS {
        let before = one.work(async |db| session(db).await).await?;
        let meanwhile = other.work(async |db| {
            db.batch_execute("BEGIN").await?;
            let found = session(db).await;
            db.batch_execute("ROLLBACK").await?;
            found
        });
        if meanwhile.await? == before {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The server's process for a session. Asked without a prepared statement, which a pooler might not know again.
async fn session(db: &ClientWrapper) -> Result<Option<String>, Fault> {
    let answer = db.simple_query("SELECT pg_backend_pid()").await?;
    let process = answer.iter().find_map(|message| {
        if let SimpleQueryMessage::Row(row) = message { row.get(0).map(ToOwned::to_owned) } else { None }
    });
    Ok(process)
}
