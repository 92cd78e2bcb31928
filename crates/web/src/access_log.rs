//! One line a request, formatted once and written in batches by a thread of its own; events go the same way.
//!
//! Only what is ours or bounded gets into a line: never a query, a header or a body, and of the path no
//! segment that is as long as a secret.

mod line;

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use line::Line;

/// How many bytes of lines may wait for the writer. When it is slower than that, lines are dropped and
/// counted: requests never wait for a log.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many bytes of events may wait beyond that: where requests are many, what went wrong is told all the same.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// How long the end of the process waits for whoever reads its log.
const LAST_WRITE_MAX: Duration = Duration::from_secs(3);

/// So many waiting bytes are written without further delay.
const BATCH_BYTES: usize = 64 * 1024;

/// How long the first line of a batch waits for others.
const BATCH_WAIT: Duration = Duration::from_millis(50);

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Where requests leave their lines. Clones share one writer.
#[derive(Debug, Clone)]
pub struct AccessLog {
    format: Format,
    queue: Arc<Queue>,
}

/// Where events leave their lines, each whole in one write. It never waits for whoever reads the log.
#[derive(Debug)]
pub struct EventLog(Arc<Queue>);

impl Write for EventLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line, WAITING_BYTES_MAX.saturating_add(EVENT_BYTES_MAX));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread that writes them. Dropping it writes what waits, if somebody takes it, and ends the thread.
#[derive(Debug)]
pub struct AccessLogWriter {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    lines_dropped: u64,
    closed: bool,
    /// Everything is written, and the thread is at its end.
    ended: bool,
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl AccessLog {
    /// Starts a writer to `out`.
    ///
    /// # Errors
    ///
    /// The operating system gives no thread.
    pub fn start(format: Format, out: impl Write + Send + 'static) -> io::Result<(Self, AccessLogWriter)> {
        let queue = Arc::new(Queue::default());
        let of_thread = Arc::clone(&queue);
        let thread =
            std::thread::Builder::new().name("access-log".to_owned()).spawn(move || of_thread.drain(out))?;
        let log = Self { format, queue: Arc::clone(&queue) };
        Ok((log, AccessLogWriter { queue, thread: Some(thread) }))
    }

    /// Leaves a line for the writer.
    pub fn put(&self, line: &Line<'_>) {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            line.format(self.format, scratch);
            self.queue.push(scratch, WAITING_BYTES_MAX);
        });
    }

    /// Where events leave their lines.
    #[must_use]
    pub fn events(&self) -> EventLog {
        EventLog(Arc::clone(&self.queue))
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8], bytes_max: usize) {
        let mut waiting = self.lock();
        let before = waiting.bytes.len();
        let after = before.saturating_add(line.len());
        if after > bytes_max || waiting.closed {
            waiting.lines_dropped = waiting.lines_dropped.saturating_add(1);
            drop(waiting);
            metrics::counter!("mintkeep_access_log_lines_dropped_total").increment(1);
            return;
        }
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        if before == 0 || (before < BATCH_BYTES && after >= BATCH_BYTES) {
            self.changed.notify_one();
        }
    }

    /// Writes batch after batch until the queue is closed and empty.
    fn drain(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let waiting = self.lock();
            let waiting = self
                .changed
                .wait_while(waiting, |waiting| waiting.bytes.is_empty() && !waiting.closed)
                .unwrap_or_else(PoisonError::into_inner);
            let (mut waiting, _timed_out) = self
                .changed
                .wait_timeout_while(waiting, BATCH_WAIT, |waiting| {
                    waiting.bytes.len() < BATCH_BYTES && !waiting.closed
                })
                .unwrap_or_else(PoisonError::into_inner);
            batch.clear();
            std::mem::swap(&mut batch, &mut waiting.bytes);
            let lines_dropped = std::mem::take(&mut waiting.lines_dropped);
            let closed = waiting.closed;
            drop(waiting);

            // A log that can't be written has nobody to be told of it; the server goes on.
            let _unheard = out.write_all(&batch).and_then(|()| out.flush());
            if lines_dropped > 0 {
                tracing::warn!(lines_dropped, "the access log's writer is too slow; lines were dropped");
            }
            if closed {
                self.lock().ended = true;
                self.changed.notify_all();
                return;
            }
        }
    }
}

impl Drop for AccessLogWriter {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.closed = true;
        self.queue.changed.notify_all();
        // Where nobody reads the log, the thread stands in a write without end: it goes with the process.
        let waited = self.queue.changed.wait_timeout_while(waiting, LAST_WRITE_MAX, |waiting| !waiting.ended);
        let ended = waited.unwrap_or_else(PoisonError::into_inner).0.ended;
        if let Some(thread) = self.thread.take().filter(|_| ended) {
            let _panicked = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Takes nothing until it is let.
    struct Gated {
        gate: mpsc::Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _closed = self.gate.recv();
            self.taken.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_line_is_lost_at_the_end_and_a_slow_writer_loses_only_what_is_past_the_bound() {
        let (open, gate) = mpsc::channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (log, writer) =
            AccessLog::start(Format::Text, Gated { gate, taken: Arc::clone(&taken) }).unwrap();

        let line = [b'x'; 1024];
        let fitting = WAITING_BYTES_MAX / line.len();
        for _ in 0..3 * fitting {
            log.queue.push(&line, WAITING_BYTES_MAX);
        }

        drop(open);
        drop(writer);
        let taken = taken.lock().unwrap().len();
        assert_eq!(taken % line.len(), 0, "whole lines only");
        assert!((fitting..=2 * fitting).contains(&(taken / line.len())), "{taken}");
    }

    #[test]
    fn an_event_is_told_where_requests_lines_are_dropped() {
        let (open, gate) = mpsc::channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (log, writer) =
            AccessLog::start(Format::Text, Gated { gate, taken: Arc::clone(&taken) }).unwrap();
        for _ in 0..=2 * WAITING_BYTES_MAX / BATCH_BYTES {
            log.queue.push(&vec![b'x'; BATCH_BYTES], WAITING_BYTES_MAX);
        }
        log.events().write_all(b"event\n").unwrap();
        drop((open, writer));
        assert!(taken.lock().unwrap().ends_with(b"event\n"));
    }

    #[test]
    fn the_end_waits_for_nobody_who_never_reads() {
        let (held, gate) = mpsc::channel();
        let (log, writer) = AccessLog::start(Format::Text, Gated { gate, taken: Arc::default() }).unwrap();
        log.events().write_all(b"event\n").unwrap();
        let (say, ended) = mpsc::channel();
        std::thread::spawn(move || {
            drop(writer);
            say.send(())
        });
        ended.recv_timeout(4 * LAST_WRITE_MAX).expect("it ends while the reader holds it");
        drop(held);
    }
}
