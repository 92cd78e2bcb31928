//! Where tasks are spawned, so that a shutdown waits for them.

mod blocking;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

use blocking::Blocking;

/// The process's tasks: the one home of `tokio::spawn`. Clones share the same tasks.
#[derive(Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Without it, blocking work is done on the thread of whoever asks for it, at once.
    blocking: Option<Blocking>,
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
        Self::with(Some(Blocking::new(blocking_max)))
    }

    /// No tasks yet, and no threads: blocking work is done where it is asked for, and stops the event loop
    /// for as long. For a process of one thread, which then does the same things in the same order each time.
    #[must_use]
    pub fn single_threaded() -> Self {
        Self::with(None)
    }

    fn with(blocking: Option<Blocking>) -> Self {
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
        match &self.blocking {
            Some(blocking) => blocking.run(&self.tracker, work).await,
            None => catch_unwind(AssertUnwindSafe(work)).map_err(|_panic| NotDone::Panicked),
        }
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
