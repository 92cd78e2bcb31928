//! The gate between one process and the world. Once it is shut, the process is dead: whatever it waits
//! for never comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::dice::Dice;
use crate::story::Story;

/// How badly a world behaves, in events per thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mischief {
    pub store_fails: u64,
    pub store_stalls: u64,
    pub upstream_fails: u64,
}

pub struct Gate {
    pub dice: Arc<Dice>,
    pub story: Arc<Story>,
    /// The process's number in the story.
    pub who: u64,
    is_shut: AtomicBool,
    /// Kills the process when this many more doors have been passed; zero: never.
    fuse: AtomicU64,
    pub died: Notify,
}

/// What happens to one call at the store's door.
pub enum Fate {
    Fine,
    FailBefore,
    FailAfter,
    DieBefore,
    DieAfter,
}

impl Fate {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Fine => "",
            Self::FailBefore => "fails before",
            Self::FailAfter => "fails after",
            Self::DieBefore => "dies before",
            Self::DieAfter => "dies after",
        }
    }
}

impl Gate {
    pub fn new(dice: Arc<Dice>, story: Arc<Story>) -> Arc<Self> {
        let who = story.another_process();
        let (is_shut, fuse) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { dice, story, who, is_shut, fuse, died: Notify::new() })
    }

    pub fn shut(&self) {
        self.story.note(self.who, "end", "", 0);
        self.is_shut.store(true, Ordering::Relaxed);
        self.died.notify_waiters();
    }

    pub fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::Relaxed)
    }

    /// Has the process die at one of its next doors.
    pub fn light_fuse(&self, doors: u64) {
        self.fuse.store(doors, Ordering::Relaxed);
    }

    /// Whether the fuse has burnt down at this door.
    pub fn burns_down(&self) -> bool {
        let left = self.fuse.load(Ordering::Relaxed);
        if left > 0 {
            self.fuse.store(left.saturating_sub(1), Ordering::Relaxed);
        }
        left == 1
    }

    /// Waits for ever if the process is dead.
    pub async fn alive(&self) {
        if self.is_shut() {
            std::future::pending::<()>().await;
        }
    }

    /// The process dies here.
    pub async fn die(&self) -> ! {
        self.shut();
        std::future::pending().await
    }

    pub fn fate(&self, mischief: Mischief) -> Fate {
        let is_early = self.dice.happens(500);
        if self.burns_down() {
            return if is_early { Fate::DieBefore } else { Fate::DieAfter };
        }
        match (self.dice.happens(mischief.store_fails), is_early) {
            (false, _) => Fate::Fine,
            (true, true) => Fate::FailBefore,
            (true, false) => Fate::FailAfter,
        }
    }

    /// How long a call takes at the store's door: mostly nothing, sometimes longer than any lease.
    pub fn stall(&self, mischief: Mischief) -> Duration {
        if self.dice.happens(mischief.store_stalls) {
            return Duration::from_secs(25).saturating_add(self.dice.wait(Duration::from_secs(15)));
        }
        if self.dice.happens(200) { self.dice.wait(Duration::from_millis(50)) } else { Duration::ZERO }
    }
}
