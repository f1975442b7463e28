//! How the program ends: exit codes and the last line, the same for every subcommand.

use std::process::ExitCode;

/// For the long help text.
pub const HELP: &str = "Exit codes: 0 done; 1 error, a figure that could not be drawn, or a check of `doctor`, `verify-resume` or `check-weights` failed; 2 wrong usage; \
3 the run ended, but some trials failed; 130 interrupted, run the same command again to go on.\n\n\
Folders of pictures: every JPEG, PNG and WebP is taken; names that begin with a dot and files that are no pictures are \
passed over; pictures of another kind, such as HEIC, are an error that names them.";

pub fn error() -> ExitCode {
    ExitCode::from(1)
}

pub fn some_trials_failed() -> ExitCode {
    ExitCode::from(3)
}

pub fn interrupted() -> ExitCode {
    ExitCode::from(130)
}

/// The chain of causes on one line, without a cause that the message before it already ends with.
///
/// Settings errors have a line for each mistake.
pub fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_joined_and_none_is_said_twice() {
        let error =
            anyhow::anyhow!("no such file").context("cannot read a.toml: no such file").context("running");
        assert_eq!(message(&error), "running: cannot read a.toml: no such file");
    }
}
