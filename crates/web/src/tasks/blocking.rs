//! Blocking work on threads for it, handed back in groups.
//!
//! A signature takes a core for half a millisecond, so under load many wait for theirs. If each were handed back
//! alone, each would wake the event loop, and its caller would come back alone. So a thread hands back a few at a
//! time: they are answered together, and their callers' next requests share wakes and flushes of the disk.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::NotDone;

/// How many pieces of work may wait for each thread.
const WAITING_PER_THREAD: usize = 1_024;

/// Most pieces that are handed back together.
const GROUP_MAX: usize = 8;

/// A group is at most one part in this many of what waits, so that nobody waits noticeably longer for it.
const GROUP_PART: usize = 8;

/// Does a piece of work, and gives what hands it back; nothing if nobody waits for it any more.
type Piece = Box<dyn FnOnce() -> Option<HandBack> + Send>;

type HandBack = Box<dyn FnOnce()>;

/// The work that waits, and how many threads may do it.
#[derive(Clone)]
pub(super) struct Blocking {
    queue: Arc<Mutex<Queue>>,
    waiting_max: usize,
}

struct Queue {
    waiting: VecDeque<Piece>,
    /// Threads that may be taken.
    free: usize,
}

impl Blocking {
    /// No work yet, and at most `threads` for it.
    pub(super) fn new(threads: usize) -> Self {
        let queue = Queue { waiting: VecDeque::new(), free: threads };
        Self { queue: Arc::new(Mutex::new(queue)), waiting_max: threads.saturating_mul(WAITING_PER_THREAD) }
    }

    /// Has `work` done by a thread that `tracker` counts.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        tracker: &TaskTracker,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let (reply, done) = oneshot::channel();
        let piece = move || {
            if reply.is_closed() {
                return None;
            }
            let outcome = catch_unwind(AssertUnwindSafe(work)).map_err(|_panic| NotDone::Panicked);
            // Whoever no longer waits has no use for it.
            let hand_back: HandBack = Box::new(move || drop(reply.send(outcome)));
            Some(hand_back)
        };
        if self.push(Box::new(piece))? {
            let queue = Arc::clone(&self.queue);
            tracker.spawn_blocking(move || work_off(&queue));
        }
        done.await.unwrap_or(Err(NotDone::Busy))
    }

    /// Lets a piece wait. `true`: a thread was taken for it.
    fn push(&self, piece: Piece) -> Result<bool, NotDone> {
        let mut queue = lock(&self.queue);
        if queue.waiting.len() >= self.waiting_max {
            return Err(NotDone::Busy);
        }
        queue.waiting.push_back(piece);
        let is_taken = queue.free > 0;
        queue.free = queue.free.saturating_sub(1);
        Ok(is_taken)
    }
}

/// Works until nothing waits.
fn work_off(queue: &Mutex<Queue>) {
    loop {
        let group: Vec<Piece> = {
            let mut queue = lock(queue);
            if queue.waiting.is_empty() {
                queue.free = queue.free.saturating_add(1);
                return;
            }
            let pieces = queue.waiting.len().div_ceil(GROUP_PART).min(GROUP_MAX);
            queue.waiting.drain(..pieces).collect()
        };
        let done: Vec<HandBack> = group.into_iter().filter_map(|piece| piece()).collect();
        for hand_back in done {
            hand_back();
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Begun<'r> = Pin<Box<dyn Future<Output = Result<(), NotDone>> + 'r>>;

    /// One thread, and the tracker that its work is counted by.
    struct Rig(Blocking, TaskTracker);

    impl Rig {
        fn new() -> Self {
            Self(Blocking::new(1), TaskTracker::new())
        }

        /// Lets `work` wait, or be begun.
        fn begin(&self, work: impl FnOnce() + Send + 'static) -> Begun<'_> {
            let mut begun = Box::pin(self.0.run(&self.1, work));
            assert!(poll_once(begun.as_mut()).is_pending());
            begun
        }

        /// Takes the thread, until it is told to end.
        fn occupy(&self) -> (Begun<'_>, Sender<()>) {
            let (work, begun, end) = held();
            let first = self.begin(work);
            begun.recv().unwrap();
            (first, end)
        }
    }

    /// Work that says when it is begun, and ends when it is told to.
    fn held() -> (impl FnOnce() + Send + 'static, Receiver<()>, Sender<()>) {
        let ((tell, begun), (end, told)) = (channel(), channel());
        let work = move || {
            tell.send(()).unwrap();
            told.recv().unwrap();
        };
        (work, begun, end)
    }

    fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn work_past_the_bound_is_refused_and_a_panic_is_told() {
        let rig = Rig::new();
        let (first, end) = rig.occupy();
        let waiting: Vec<_> = (0..WAITING_PER_THREAD).map(|_| rig.begin(|| ())).collect();
        assert_eq!(rig.0.run(&rig.1, || ()).await, Err(NotDone::Busy));

        end.send(()).unwrap();
        assert_eq!(first.await, Ok(()));
        for work in waiting {
            assert_eq!(work.await, Ok(()));
        }
        assert_eq!(rig.0.run(&rig.1, || panic!("planted")).await, Err::<(), _>(NotDone::Panicked));
        assert_eq!(rig.0.run(&rig.1, || 7).await, Ok(7), "the thread lives on");
    }

    #[tokio::test]
    async fn where_many_wait_what_was_done_is_handed_back_in_groups() {
        let rig = Rig::new();
        let (_first, end) = rig.occupy();
        let mut group: Vec<_> = (1..GROUP_MAX).map(|_| rig.begin(|| ())).collect();
        let (work, last_begun, end_last) = held();
        group.push(rig.begin(work));
        let _others: Vec<_> = (0..GROUP_MAX * GROUP_PART).map(|_| rig.begin(|| ())).collect();
        end.send(()).unwrap();

        last_begun.recv().unwrap();
        assert!(group.iter_mut().all(|work| poll_once(work.as_mut()).is_pending()), "the last is not done");
        end_last.send(()).unwrap();
        for work in group {
            assert_eq!(work.await, Ok(()));
        }
    }

    #[tokio::test]
    async fn where_few_wait_nobody_waits_for_the_next_one() {
        let rig = Rig::new();
        let (_first, end) = rig.occupy();
        let mut done = rig.begin(|| ());
        let (work, next_begun, end_next) = held();
        let next = rig.begin(work);
        let _others: Vec<_> = (2..GROUP_PART).map(|_| rig.begin(|| ())).collect();
        end.send(()).unwrap();

        next_begun.recv().unwrap();
        assert_eq!(poll_once(done.as_mut()), Poll::Ready(Ok(())));
        end_next.send(()).unwrap();
        assert_eq!(next.await, Ok(()));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let rig = Rig::new();
        let (_first, end) = rig.occupy();
        let (work, gone_begun, end_gone) = held();
        drop((rig.begin(work), end_gone));
        end.send(()).unwrap();
        assert_eq!(rig.0.run(&rig.1, || ()).await, Ok(()));
        assert!(gone_begun.recv().is_err());
    }
}
