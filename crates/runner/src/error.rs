//! Errors of the runner: each says where, what, the value and the remedy.

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },

    #[error("cannot write {path}: {source}; {}", remedy(source))]
    Write { path: PathBuf, source: std::io::Error },

    #[error("{place}: {message}")]
    Syntax { place: String, message: String },

    /// One line for each distinct mistake, with file and line.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),

    #[error("{experiment} is of task `{found}`, and this is the driver of `{expected}`")]
    Task { experiment: PathBuf, found: String, expected: String },

    #[error("{trial}: {source:#}")]
    Trial { trial: String, source: anyhow::Error },

    #[error("{path} is held by {holder}, {remedy}")]
    Locked { path: PathBuf, holder: String, remedy: String },

    #[error("{path} has no trial of this experiment; run it first")]
    Empty { path: PathBuf },

    #[error("`{}`: {message}; `git checkout` brings back a committed table", path.display())]
    Table { path: PathBuf, message: String },

    #[error("`{id}` is no trial of this experiment at this scale; {remedy}")]
    NoTrial { id: String, remedy: String },

    #[error("the {run} run ended with {status}: {message}")]
    Child { run: String, status: std::process::ExitStatus, message: String },

    #[error("the workload broke its contract: {0}")]
    Contract(String),
}

impl RunnerError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> RunnerError {
        move |source| RunnerError::Read { path: path.to_path_buf(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> RunnerError {
        move |source| RunnerError::Write { path: path.to_path_buf(), source }
    }

    pub(crate) fn setting(place: impl std::fmt::Display, key: &str, message: &str) -> RunnerError {
        RunnerError::Settings(vec![mistake(place, key, message)])
    }
}

/// What helps after an error of the file system. Only what may pass by itself is worth the same command again.
fn remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make space and run the same command again; finished trials are safe"
        }
        ErrorKind::PermissionDenied => {
            "you may not write there: change its permissions, or name another folder with `--results`"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "nothing can be written to this file system: name another folder with `--results`"
        }
        ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::AlreadyExists
        | ErrorKind::DirectoryNotEmpty => {
            "something else has this name, or one above it: move it away, or name another folder with `--results`"
        }
        ErrorKind::InvalidFilename | ErrorKind::InvalidInput => {
            "the name is too long, or not allowed there: name another folder with `--results`"
        }
        ErrorKind::Unsupported | ErrorKind::CrossesDevices | ErrorKind::FileTooLarge => {
            "this file system cannot do it: name a folder on another one with `--results`"
        }
        _ => "finished trials are safe, run the same command again",
    }
}

/// One line for one mistake; `key` is empty for something that is missing at the top of a file.
pub(crate) fn mistake(place: impl std::fmt::Display, key: &str, message: &str) -> String {
    if key.is_empty() { format!("{place}: {message}") } else { format!("{place}: {key}: {message}") }
}

pub type Result<T, E = RunnerError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;

    use super::*;

    fn text(source: io::Error) -> String {
        RunnerError::write(Path::new("results/a"))(source).to_string()
    }

    #[test]
    fn only_an_error_that_may_pass_says_to_run_the_same_command_again() {
        const AGAIN: &str = "run the same command again";
        for number in [4, 5, 16, 28, 110, 116, 122] {
            // EINTR, EIO, EBUSY, ENOSPC, ETIMEDOUT, ESTALE, EDQUOT
            let text = text(io::Error::from_raw_os_error(number));
            assert!(text.contains(AGAIN) && text.contains("finished trials are safe"), "{number}: {text}");
        }
        for number in [1, 13, 17, 18, 20, 21, 22, 27, 30, 36, 38, 39, 95] {
            // EPERM, EACCES, EEXIST, EXDEV, ENOTDIR, EISDIR, EINVAL, EFBIG, EROFS, ENAMETOOLONG, ENOSYS, ENOTEMPTY,
            // EOPNOTSUPP
            let text = text(io::Error::from_raw_os_error(number));
            assert!(!text.contains("again") && text.contains("`--results`"), "{number}: {text}");
        }
    }

    #[test]
    fn a_file_in_a_folders_place_and_a_name_that_is_too_long_are_told_with_what_helps() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let below = text(fs::create_dir_all(file.join("trials")).unwrap_err());
        assert!(below.contains("something else has this name"), "{below}");
        let long = text(fs::create_dir(folder.path().join("a".repeat(300))).unwrap_err());
        assert!(long.contains("the name is too long"), "{long}");
    }
}
