//! How a store's tables become today's: what both engines tell of it.

/// One step. It takes the tables from the schema before it to its own, which is its place among all, from 1.
pub struct Step {
    /// What it makes or changes, for whoever waits for it.
    pub what: &'static str,
    /// How.
    pub sql: &'static str,
}

/// What is told of a migration while it is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrating {
    /// Another one works on the same tables; this one goes on when that one has ended.
    Waiting,
    /// A step has begun.
    Begun {
        /// The schema that it leads to.
        schema: usize,
        /// What it makes or changes.
        what: &'static str,
    },
    /// The step that has begun is done. It counts once all are: they are one transaction.
    Done,
}

/// Is told of a migration while it is at work.
pub type Tell<'t> = &'t mut (dyn FnMut(Migrating) + Send);

/// What a migration found, and what it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The schema that was there; 0: none.
    pub found: usize,
    /// The schema that this version needs.
    pub needed: usize,
}

impl Migrated {
    /// Whether a newer version had made the tables. Nothing was done then.
    #[must_use]
    pub const fn is_newer(&self) -> bool {
        self.found > self.needed
    }
}
