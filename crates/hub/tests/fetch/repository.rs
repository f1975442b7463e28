//! Repositories of the hub on this machine: names, contents and hashes of files.

use std::ops::Range;

use sha2::Digest;

pub struct Repository {
    /// Such as `datasets/owner/notes` or `models/owner/network`.
    pub name: String,
    pub files: Vec<Served>,
}

pub struct Served {
    pub name: String,
    pub content: Content,
    /// Outside git: its hash is a SHA-256, and it comes from the store.
    pub is_large: bool,
}

pub enum Content {
    Bytes(Vec<u8>),
    /// So many bytes by a formula, word by word, and their SHA-256.
    Counted(u64, &'static str),
}

impl Repository {
    /// With these files: name, content, large or not.
    pub fn new(name: &str, files: &[(&str, &[u8], bool)]) -> Repository {
        let served = |&(name, content, is_large): &(&str, &[u8], bool)| Served {
            name: name.to_string(),
            content: Content::Bytes(content.to_vec()),
            is_large,
        };
        Repository { name: name.to_string(), files: files.iter().map(served).collect() }
    }

    /// Adds a large file of `size` bytes, made by a formula, of which this is the SHA-256.
    pub fn counted(mut self, name: &str, size: u64, sha256: &'static str) -> Repository {
        let content = Content::Counted(size, sha256);
        self.files.push(Served { name: name.to_string(), content, is_large: true });
        self
    }

    pub fn listing(&self, commit: &str) -> String {
        let one = |file: &Served| {
            let (size, hash) = (file.content.len(), file.etag());
            let lfs = if file.is_large {
                format!(r#","lfs":{{"sha256":"{hash}","size":{size}}}"#)
            } else {
                String::new()
            };
            let blob = if file.is_large { "0".repeat(40) } else { hash };
            format!(r#"{{"rfilename":"{}","size":{size},"blobId":"{blob}"{lfs}}}"#, file.name)
        };
        let files: Vec<String> = self.files.iter().map(one).collect();
        format!(r#"{{"sha":"{commit}","cardData":{{"license":"mit"}},"siblings":[{}]}}"#, files.join(","))
    }
}

impl Served {
    pub fn etag(&self) -> String {
        match &self.content {
            Content::Counted(_, sha256) => sha256.to_string(),
            Content::Bytes(bytes) if self.is_large => hex_sha256(bytes),
            Content::Bytes(bytes) => git_blob(bytes),
        }
    }
}

impl Content {
    pub fn len(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Counted(size, _) => *size,
        }
    }

    pub fn piece(&self, range: Range<u64>) -> Vec<u8> {
        match self {
            Content::Bytes(bytes) => bytes[range.start as usize..range.end as usize].to_vec(),
            Content::Counted(..) => {
                let words = range.start / 8..range.end.div_ceil(8);
                let word = |index: u64| index.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
                let bytes: Vec<u8> = words.clone().flat_map(word).collect();
                let at = |byte: u64| (byte - words.start * 8) as usize;
                bytes[at(range.start)..at(range.end)].to_vec()
            }
        }
    }
}

pub fn hex_sha256(content: &[u8]) -> String {
    sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn git_blob(content: &[u8]) -> String {
    let state = sha1::Sha1::new().chain_update(format!("blob {}\0", content.len())).chain_update(content);
    state.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
