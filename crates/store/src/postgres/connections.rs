//! Connections and their deadlines: a bounded pool for what needs a connection to itself, a few shared ones
//! whose questions are pipelined, and an end to whichever no longer answers.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Client, ClientWrapper, Object, Pool};

use super::fault::Fault;
use super::schema;

/// How long the engine may take for one piece of work: more than one statement may take, so
/// that a server which still answers says so itself. A frozen one is given up after this.
const ANSWER_MAX: Duration = Duration::from_secs(6);

/// How long it may take to ask why a piece of work was given up.
const REASON_MAX: Duration = Duration::from_secs(2);

/// How many connections are shared by the small questions, which wait for one round trip and for nobody's work.
const LANES: usize = 2;

/// The least number of connections that everything works with: the lanes, the two writers, and two for the rest.
pub const CONNECTIONS_MIN: usize = LANES + 4;

/// All connections of a store.
pub struct Connections {
    pool: Pool,
    lanes: [Mutex<Option<Arc<ClientWrapper>>>; LANES],
    next_lane: AtomicUsize,
    /// Whether a piece of work was given up, and it was not asked yet why.
    fell_silent: Arc<AtomicBool>,
}

impl Connections {
    /// Connections of `pool`; none is made yet.
    pub fn of(pool: Pool) -> Self {
        let fell_silent = Arc::default();
        Self { pool, lanes: Default::default(), next_lane: AtomicUsize::new(0), fell_silent }
    }

    /// A connection for what takes several statements, or long.
    pub async fn get(&self) -> Result<Lent, Fault> {
        Ok(Lent { db: Some(self.pool.get().await?), fell_silent: self.fell_silent.clone() })
    }

    /// A connection for what is to be committed; none while commits wait for a standby that is away. PostgreSQL ends no
    /// session whose commit waits, though its client is long gone: each further one would be one session more.
    pub async fn get_to_write(&self) -> Result<Lent, Fault> {
        if self.fell_silent.load(Ordering::Relaxed) {
            match tokio::time::timeout(REASON_MAX, self.ask(schema::do_commits_wait)).await {
                Ok(Ok(true)) => {
                    let cause =
                        "commits wait for a synchronous standby that is away: start it, or name another";
                    return Err(Fault::Connection(cause.into()));
                }
                Ok(Ok(false) | Err(_)) | Err(_) => self.fell_silent.store(false, Ordering::Relaxed),
            }
        }
        self.get().await
    }

    /// Asks one small question, on a connection that others ask on at the same time.
    pub async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&ClientWrapper) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let lane = self.next_lane.fetch_add(1, Ordering::Relaxed) % LANES;
        let place = self.lanes.get(lane).ok_or_else(closed)?;
        let db = self.lane(place).await?;
        let answer = in_time(question(&db)).await;
        if answer.as_ref().is_err_and(Fault::ends_connection) {
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            place.take_if(|there| Arc::ptr_eq(there, &db));
        }
        answer
    }

    async fn lane(&self, place: &Mutex<Option<Arc<ClientWrapper>>>) -> Result<Arc<ClientWrapper>, Fault> {
        if self.is_closed() {
            return Err(closed());
        }
        let there = place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(db) = there.filter(|db| !db.is_closed()) {
            return Ok(db);
        }
        let made = self.pool.get().await?;
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        // Of all who waited for one at the same time, the first one's is everybody's.
        if let Some(db) = place.as_ref().filter(|db| !db.is_closed()) {
            return Ok(db.clone());
        }
        // Taken out of the pool for good: it ends with its last question.
        let db = Arc::new(Object::take(made));
        *place = Some(db.clone());
        Ok(db)
    }

    /// Ends all that are free, and the others when their work ends.
    pub fn close(&self) {
        self.pool.close();
        for lane in &self.lanes {
            lane.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// Whether [`Self::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }
}

/// A connection of one's own for a while.
pub struct Lent {
    db: Option<Client>,
    fell_silent: Arc<AtomicBool>,
}

impl Lent {
    /// Does one piece of work. A connection that broke, or did not answer in time, is not used again.
    pub async fn work<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut ClientWrapper) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Some(db) = &mut self.db else { return Err(closed()) };
        let done = in_time(work(db)).await;
        if matches!(done, Err(Fault::Silent)) {
            self.fell_silent.store(true, Ordering::Relaxed);
        }
        if done.as_ref().is_err_and(Fault::ends_connection) {
            drop(self.db.take().map(Object::take));
        }
        done
    }

    /// Whether it still works, as far as is known.
    pub fn is_usable(&self) -> bool {
        self.db.as_ref().is_some_and(|db| !db.is_closed())
    }
}

fn closed() -> Fault {
    Fault::Connection("the store is closed".into())
}

async fn in_time<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(ANSWER_MAX, work).await.unwrap_or(Err(Fault::Silent))
}
