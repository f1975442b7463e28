//! The one reader of files that a result depends on: models, tokenizers, configurations, pictures, data.
//!
//! What is opened within [`recorded`] is recorded, so that a trial's identity can be held against it. Loaders open
//! files in no other way; clippy refuses the functions of `std` in their crates.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

type Opened = Arc<Mutex<BTreeSet<PathBuf>>>;

thread_local! {
    static RECORDING: RefCell<Option<Opened>> = const { RefCell::new(None) };
}

/// Opens a file for reading, as `File::open`.
#[allow(clippy::disallowed_methods)] // this is the reader
pub fn open(path: &Path) -> Result<File> {
    let file = File::open(path)?;
    record(path);
    Ok(file)
}

/// `path` for a library that opens the file itself.
pub fn lent(path: &Path) -> Cow<'_, str> {
    if path.is_file() {
        record(path);
    }
    path.to_string_lossy()
}

fn record(path: &Path) {
    if let Recording(Some(opened)) = Recording::current() {
        opened.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    }
}

/// The bytes of a file, as `std::fs::read`.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file, as `std::fs::read_to_string`.
pub fn read_to_string(path: &Path) -> Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// What `work` gives, and the files that it opened.
pub fn recorded<T>(work: impl FnOnce() -> T) -> (T, BTreeSet<PathBuf>) {
    let opened = Opened::default();
    let result = Recording(Some(opened.clone())).within(work);
    let paths = std::mem::take(&mut *opened.lock().unwrap_or_else(PoisonError::into_inner));
    (result, paths)
}

/// The recording that this thread is in, to go on with it in the threads that help.
#[derive(Clone)]
pub struct Recording(Option<Opened>);

impl Recording {
    pub fn current() -> Recording {
        Recording(RECORDING.with_borrow(Clone::clone))
    }

    /// What `work` gives; what it opens belongs to this recording.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Restored(Option<Opened>);
        impl Drop for Restored {
            fn drop(&mut self) {
                RECORDING.set(self.0.take());
            }
        }
        let _restored = Restored(RECORDING.replace(self.0.clone()));
        work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_is_recorded_in_helping_threads_too_and_after_a_panic_nothing_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        ["one", "two", "three"].iter().for_each(|name| std::fs::write(path(name), "text").unwrap());
        let (text, opened) = recorded(|| {
            let recording = Recording::current();
            std::thread::scope(|scope| {
                scope.spawn(|| recording.within(|| read(&path("two")).unwrap())).join()
            })
            .unwrap();
            assert!(open(&path("none")).is_err());
            read_to_string(&path("one")).unwrap()
        });
        assert_eq!((text.as_str(), opened), ("text", BTreeSet::from([path("one"), path("two")])));
        let panicked = std::panic::catch_unwind(|| recorded(|| panic!("damaged")));
        assert!(panicked.is_err() && Recording::current().0.is_none());
        read(&path("three")).unwrap();
        assert!(recorded(|| ()).1.is_empty());
    }
}
