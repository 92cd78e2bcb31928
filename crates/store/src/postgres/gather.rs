//! The writers: whatever changes wait for one table go into one statement, one round trip, one flush.
//!
//! As in the embedded store, the next batch gathers while the engine works on one, so batches grow with the
//! load and with the distance to the engine.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::port::issuer_store::Stored;
use mintkeep_protocol::port::keeper_store::Presented;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::connections::{Connections, Lent};
use super::fault::{Fault, unavailable};
use super::hot::{self, RowKey, Table};
use super::retry::Tries;
use crate::cache::RecordCache;
use crate::change::Intent;

/// Most intents that wait for one writer; the next one is told that the store is overloaded.
const QUEUE_INTENTS_MAX: usize = 8_192;

/// Most intents in one statement, so that the first one in it doesn't wait long for the last.
const BATCH_INTENTS_MAX: usize = 256;

/// How long an intent waits for its turn. Nothing was done of one that waited in vain.
const TURN_WAIT_MAX: Duration = Duration::from_secs(5);

/// Where intents for one table are handed in.
pub struct Gatherer(mpsc::Sender<Waiting>);

/// An intent, who waits for it, and until when it is worth beginning.
struct Waiting {
    row: RowKey,
    intent: Intent,
    reply: oneshot::Sender<Stored<Presented>>,
    until: Instant,
}

impl Gatherer {
    /// Starts the writer of one table; it ends with the last gatherer.
    pub fn start(table: Table, connections: Arc<Connections>, cache: Arc<RecordCache>) -> Self {
        let (requests, asked) = mpsc::channel(QUEUE_INTENTS_MAX);
        let writer = Writer { table, connections, connection: None, cache, asked, held: VecDeque::new() };
        #[expect(clippy::disallowed_methods, reason = "it ends with the store, once all that wait are told")]
        tokio::spawn(writer.run());
        Self(requests)
    }

    /// Hands an intent to the writer and waits until it is committed.
    pub async fn change(&self, row: RowKey, intent: Intent) -> Stored<Presented> {
        let (reply, answer) = oneshot::channel();
        let until = Instant::now().checked_add(TURN_WAIT_MAX).unwrap_or_else(Instant::now);
        let handed_in = self.0.try_send(Waiting { row, intent, reply, until });
        handed_in.map_err(|_| unavailable("too many changes wait; the database is too slow or down"))?;
        answer.await.map_err(|_| unavailable("the store is closed"))?
    }
}

/// The writer of one table.
struct Writer {
    table: Table,
    connections: Arc<Connections>,
    /// Kept from batch to batch.
    connection: Option<Lent>,
    cache: Arc<RecordCache>,
    asked: mpsc::Receiver<Waiting>,
    /// Intents whose row had another change in the batch before, in the order they came.
    held: VecDeque<Waiting>,
}

impl Writer {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_INTENTS_MAX);
        while self.gather(&mut batch).await {
            self.commit(&mut batch).await;
        }
    }

    /// Takes what waits, at most one change of each row; if nothing does, waits. `false`: there is nothing more
    /// to come.
    async fn gather(&mut self, batch: &mut Vec<Waiting>) -> bool {
        let now = Instant::now();
        let mut rows = HashSet::new();
        for waiting in std::mem::take(&mut self.held) {
            self.place(waiting, now, &mut rows, batch);
        }
        if batch.is_empty() {
            match self.asked.recv().await {
                Some(waiting) => self.place(waiting, now, &mut rows, batch),
                None => return false,
            }
        }
        while batch.len() < BATCH_INTENTS_MAX && self.held.len() < QUEUE_INTENTS_MAX {
            let Ok(waiting) = self.asked.try_recv() else { break };
            self.place(waiting, now, &mut rows, batch);
        }
        true
    }

    /// Puts one that waits into the batch, or holds it for the next one.
    fn place(
        &mut self,
        waiting: Waiting,
        now: Instant,
        rows: &mut HashSet<RowKey>,
        batch: &mut Vec<Waiting>,
    ) {
        if waiting.until <= now {
            let _ = waiting
                .reply
                .send(Err(unavailable("the change waited too long; the database is too slow or down")));
        } else if batch.len() < BATCH_INTENTS_MAX && rows.insert(waiting.row) {
            batch.push(waiting);
        } else {
            self.held.push_back(waiting);
        }
    }

    /// Commits a batch, shows it in the cache, and then tells who waits.
    async fn commit(&mut self, batch: &mut Vec<Waiting>) {
        if batch.is_empty() {
            return;
        }
        let written = self.write(batch).await;
        if batch.len() > 1 && written.as_ref().is_err_and(Fault::is_a_rows) {
            // One row spoils the statement: each is written by itself, and only that one fails.
            for waiting in batch.drain(..) {
                let written = self.write(std::slice::from_ref(&waiting)).await;
                settle(&self.cache, [waiting], written);
            }
            return;
        }
        settle(&self.cache, batch.drain(..), written);
    }

    /// Writes a batch; the rows that were written.
    ///
    /// # Errors
    ///
    /// If the connection broke, it is unknown of every intent whether it was committed.
    async fn write(&mut self, batch: &[Waiting]) -> Result<HashSet<RowKey>, Fault> {
        let intents: Vec<&Intent> = batch.iter().map(|waiting| &waiting.intent).collect();
        let mut tries = Tries::default();
        loop {
            if !self.connection.as_ref().is_some_and(Lent::is_usable) || self.connections.is_closed() {
                self.connection = None;
                self.connection = Some(self.connections.get_to_write().await?);
            }
            let Some(connection) = &mut self.connection else { continue };
            let table = self.table;
            let written = connection.work(async |db| hot::write(db, table, &intents).await).await;
            match written {
                Err(fault) if tries.allow_another(&fault) => {}
                written => return written,
            }
        }
    }
}

/// Shows in the cache what became of a batch, and then tells those who wait.
fn settle(
    cache: &RecordCache,
    batch: impl IntoIterator<Item = Waiting>,
    written: Result<HashSet<RowKey>, Fault>,
) {
    let won = written.map_err(|fault| unavailable(&fault));
    let told: Vec<_> = batch
        .into_iter()
        .map(|Waiting { row, intent, reply, .. }| {
            let answer = match &won {
                Ok(won) if won.contains(&row) => Ok(Presented::Done),
                Ok(_) => Ok(Presented::Lost),
                Err(error) => Err(error.clone()),
            };
            cache.settle(&intent.change, matches!(answer, Ok(Presented::Done)));
            (reply, answer)
        })
        .collect();
    for (reply, answer) in told {
        // Whoever no longer waits finds the record changed when it loads it again.
        let _ = reply.send(answer);
    }
}
