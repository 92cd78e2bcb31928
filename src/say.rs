//! Standard output and standard error, as commands write to them.

use std::io::{ErrorKind, Write as _};

/// Writes to standard output, or ends the process: with 0 when whoever reads has read enough, else with 1 and
/// the reason, for an answer that is lost may have held a secret that is shown once.
pub fn write_out(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        note(&format!("mintkeep: done, but the answer is lost, for it can't be written: {error}"));
        std::process::exit(1);
    }
}

/// Writes one line.
pub fn write_line(text: &str) {
    write_out(format!("{text}\n").as_bytes());
}

/// Says something beside the answer, so that the answer alone can go into a variable.
pub fn note(text: &str) {
    note_on(&format!("{text}\n"));
}

/// As [`note`], and the line goes on. Where standard error takes nothing, nobody hears it: that changes neither what is
/// done nor the exit code, as a panic of `eprintln!` would.
pub fn note_on(text: &str) {
    let mut out = std::io::stderr().lock();
    let _unheard = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
