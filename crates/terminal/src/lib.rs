//! Lines on standard output and standard error: the only writer of what a person reads.
//!
//! `println!` panics when nobody reads any more, as after `delora run … | head -2`, and so would end a run of hours.
//! Here nothing that cannot be written ends anything. A closed pipe is the reader's choice and is no error. Any other
//! failure, such as a full disk behind `>`, is kept for the end: see [`failure`].
//!
//! Clippy refuses `println!` and the like in the crates that print; tests may use them.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// How standard output first failed.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Writes a text to standard output.
pub fn print(text: impl Display) {
    keep(&FAILED, write(&mut io::stdout().lock(), &text.to_string()));
}

/// Writes a line to standard output.
pub fn line(text: impl Display) {
    print(format_args!("{text}\n"));
}

/// Writes a line to standard error.
pub fn notice(text: impl Display) {
    // There is nowhere left to say that this failed.
    let _ = write(&mut io::stderr().lock(), &format!("{text}\n"));
}

/// Whether what is printed to standard output may still arrive somewhere.
pub fn is_read() -> bool {
    FAILED.get().is_none()
}

/// The first error of standard output, if any; a closed pipe is none.
pub fn failure() -> Option<&'static io::Error> {
    of_interest(&FAILED)
}

/// One write for one text, so that threads do not tear it where that can be helped.
fn write(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn keep(failed: &OnceLock<io::Error>, written: io::Result<()>) {
    if let Err(error) = written {
        // The first error is the one to report.
        let _ = failed.set(error);
    }
}

fn of_interest(failed: &OnceLock<io::Error>) -> Option<&io::Error> {
    failed.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is_one() {
        let of = |results: &[io::Result<()>]| {
            let failed = OnceLock::new();
            let copy =
                |result: &io::Result<()>| result.as_ref().map(|_| ()).map_err(|error| error.kind().into());
            results.iter().for_each(|result| keep(&failed, copy(result)));
            (failed.get().is_some(), of_interest(&failed).map(io::Error::kind))
        };
        let fails = |kind: ErrorKind| Err(kind.into());
        assert_eq!(of(&[Ok(())]), (false, None));
        assert_eq!(of(&[Ok(()), fails(ErrorKind::BrokenPipe)]), (true, None));
        let full = [Ok(()), fails(ErrorKind::StorageFull), fails(ErrorKind::PermissionDenied)];
        assert_eq!(of(&full), (true, Some(ErrorKind::StorageFull)));
    }
}
