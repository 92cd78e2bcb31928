//! How many files the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets the process open as many files as it may. Each connection is one, and the 1,024 that most processes begin with
/// are fewer than a listener takes.
pub fn as_many_as_may_be() {
    let limit = getrlimit(Resource::Nofile);
    // Where this is forbidden, it goes on with what there is.
    let _forbidden = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
