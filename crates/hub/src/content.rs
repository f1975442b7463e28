//! What a file must be, by the hub's word, and whether it is that.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::Digest;

use crate::error::{HubError, Result};

const CHUNK_BYTES: usize = 1 << 18;

/// Hash of a file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContentHash {
    /// The hash of a large file.
    Sha256(String),
    /// The hash of a file that lies in the git repository: SHA-1 of a header and the content, as git names a blob.
    GitBlob(String),
}

impl ContentHash {
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            ContentHash::Sha256(_) => "SHA-256",
            ContentHash::GitBlob(_) => "git blob SHA-1",
        }
    }

    pub(crate) fn expected(&self) -> &str {
        match self {
            ContentHash::Sha256(hash) | ContentHash::GitBlob(hash) => hash,
        }
    }

    /// The same hash of the file at `path`, in lower-case hexadecimal.
    pub(crate) fn of_file(&self, path: &Path) -> Result<String> {
        let file = File::open(path).map_err(HubError::read(path))?;
        let size = file.metadata().map_err(HubError::read(path))?.len();
        match self {
            ContentHash::Sha256(_) => digest(sha2::Sha256::new(), file),
            ContentHash::GitBlob(_) => digest(sha1::Sha1::new().chain_update(format!("blob {size}\0")), file),
        }
        .map_err(HubError::read(path))
    }
}

fn digest<D: Digest>(mut state: D, mut file: File) -> std::io::Result<String> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(state.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => state.update(&chunk[..count]),
        }
    }
}

/// Whether `text` is a SHA-256 in hexadecimal.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_sha256sum_and_git() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello");
        std::fs::write(&path, "hello\n").unwrap();
        // `sha256sum` and `git hash-object` of the same file.
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(ContentHash::Sha256(String::new()).of_file(&path).unwrap(), sha256);
        assert_eq!(ContentHash::GitBlob(String::new()).of_file(&path).unwrap(), git);
        assert!(is_sha256(sha256) && !is_sha256(git));
    }
}
