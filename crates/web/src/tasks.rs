//! Where tasks are spawned, so that a shutdown waits for them.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

/// How many pieces of blocking work may wait for each one that runs.
const BLOCKING_WAITING_PER_RUNNING: usize = 1_024;

/// The process's tasks: the one home of `tokio::spawn`. Clones share the same tasks.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    blocking: Blocking,
}

/// Where blocking work is done.
#[derive(Debug, Clone)]
enum Blocking {
    /// On threads of its own.
    Threads {
        /// Places for work that runs or waits.
        accepted: Arc<Semaphore>,
        /// Places for work that runs.
        running: Arc<Semaphore>,
    },
    /// On the thread of whoever asks for it, at once.
    InPlace,
}

/// Blocking work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// Too much of it waits already. Nothing was begun.
    #[error("too much blocking work is waiting; try again later")]
    Busy,
    /// It panicked.
    #[error("blocking work panicked")]
    Panicked,
}

/// Tasks that had not ended when a shutdown's patience did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{tasks} tasks had not ended")]
pub struct StillRunning {
    /// How many.
    pub tasks: usize,
}

impl Tasks {
    /// No tasks yet, and at most `blocking_max` pieces of blocking work at once.
    #[must_use]
    pub fn new(blocking_max: usize) -> Self {
        let accepted = blocking_max.saturating_mul(BLOCKING_WAITING_PER_RUNNING);
        Self::with(Blocking::Threads {
            accepted: Arc::new(Semaphore::new(accepted)),
            running: Arc::new(Semaphore::new(blocking_max)),
        })
    }

    /// No tasks yet, and no threads: blocking work is done where it is asked for, and stops the event loop
    /// for as long. For a process of one thread, which then does the same things in the same order each time.
    #[must_use]
    pub fn single_threaded() -> Self {
        Self::with(Blocking::InPlace)
    }

    fn with(blocking: Blocking) -> Self {
        Self { tracker: TaskTracker::new(), stop: CancellationToken::new(), blocking }
    }

    /// Runs `future` beside the caller. A shutdown waits for it; it should end soon after [`Self::stopping`].
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(future)
    }

    /// Runs `work` (a signature, a hash) on a thread for such work, off the event loop; but see
    /// [`Self::single_threaded`].
    ///
    /// Once begun it runs to its end, even if the caller goes away.
    ///
    /// # Errors
    ///
    /// [`NotDone`]: too much is waiting, or it panicked.
    pub async fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let Blocking::Threads { accepted, running } = &self.blocking else {
            return catch_unwind(AssertUnwindSafe(work)).map_err(|_panic| NotDone::Panicked);
        };
        let accepted = Arc::clone(accepted).try_acquire_owned().map_err(|_full| NotDone::Busy)?;
        let running = Arc::clone(running).acquire_owned().await.map_err(|_closed| NotDone::Busy)?;
        let places_held = move || {
            let done = work();
            drop((running, accepted));
            done
        };
        self.tracker.spawn_blocking(places_held).await.map_err(|_panic| NotDone::Panicked)
    }

    /// Ends when the process begins to stop.
    pub fn stopping(&self) -> WaitForCancellationFuture<'_> {
        self.stop.cancelled()
    }

    /// Whether the process has begun to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells all tasks to stop and waits for their ends, for as long as `patience`.
    ///
    /// # Errors
    ///
    /// [`StillRunning`]: some have not ended; they are left behind.
    pub async fn shutdown(&self, patience: Duration) -> Result<(), StillRunning> {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait())
            .await
            .map_err(|_late| StillRunning { tasks: self.tracker.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::sync::mpsc;
    use std::task::{Context, Poll, Waker};

    #[tokio::test]
    async fn a_shutdown_waits_for_tasks_that_heed_it_and_counts_the_others() {
        let tasks = Tasks::new(1);
        let heeding = tasks.clone();
        let ended = tasks.spawn(async move { heeding.stopping().await });
        assert_eq!(tasks.shutdown(Duration::from_mins(1)).await, Ok(()));
        assert!(ended.is_finished() && tasks.is_stopping());

        tasks.spawn(std::future::pending::<()>());
        assert_eq!(tasks.shutdown(Duration::ZERO).await, Err(StillRunning { tasks: 1 }));
    }

    #[tokio::test]
    async fn blocking_work_past_the_bound_is_refused_and_a_panic_is_told() {
        let tasks = Tasks::new(1);
        let (release, released) = mpsc::channel::<()>();
        let mut first = Box::pin(tasks.spawn_blocking(move || released.recv().is_ok()));
        assert!(poll_once(first.as_mut()).is_pending());
        let mut waiting: Vec<_> =
            (1..BLOCKING_WAITING_PER_RUNNING).map(|_| Box::pin(tasks.spawn_blocking(|| ()))).collect();
        assert!(waiting.iter_mut().all(|work| poll_once(work.as_mut()).is_pending()));

        assert_eq!(tasks.spawn_blocking(|| ()).await, Err(NotDone::Busy));

        release.send(()).unwrap();
        assert_eq!(first.await, Ok(true));
        for work in waiting {
            assert_eq!(work.await, Ok(()));
        }
        assert_eq!(tasks.spawn_blocking(|| panic!("planted")).await, Err::<(), _>(NotDone::Panicked));
        assert_eq!(tasks.spawn_blocking(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_process_of_one_thread_does_blocking_work_before_anything_else() {
        let tasks = Tasks::single_threaded();
        let here = std::thread::current().id();
        let mut work = Box::pin(tasks.spawn_blocking(|| std::thread::current().id()));
        assert_eq!(poll_once(work.as_mut()), Poll::Ready(Ok(here)));
        assert_eq!(tasks.spawn_blocking(|| panic!("planted")).await, Err::<(), _>(NotDone::Panicked));
    }

    fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }
}
