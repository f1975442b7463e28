//! Errors of fetching: each says where, what, the value and the remedy.

use std::path::{Path, PathBuf};

pub type Result<T, E = HubError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum HubError {
    #[error("there is no bundle `{name}`; there are {known}")]
    UnknownBundle { name: String, known: String },

    #[error("`{bundle}` has no part `{name}`; it has {known}")]
    UnknownPart { bundle: &'static str, name: String, known: String },

    #[error("there is no place for the cache: set HOME, HF_HOME or HF_HUB_CACHE")]
    NoHome,

    /// The token itself is never shown.
    #[error("the token in HF_TOKEN or in its file has a character that no token has; copy it again")]
    Token,

    #[error("HF_ENDPOINT is `{endpoint}`, which is no address; it should begin with https://")]
    Endpoint { endpoint: String },

    #[error(
        "cannot read certificates from {path}: {message}; correct or unset SSL_CERT_FILE and REQUESTS_CA_BUNDLE"
    )]
    Certificates { path: PathBuf, message: String },

    #[error(
        "cannot reach {url}: {message}; check the connection and HTTPS_PROXY, or set HF_ENDPOINT to a mirror of the hub"
    )]
    Unreachable { url: String, message: String },

    #[error(
        "{url} has no connection that can be trusted: {message}; if a proxy stands between, set SSL_CERT_FILE to the \
         certificates it comes with"
    )]
    Untrusted { url: String, message: String },

    #[error(
        "`{repo}` is gated: with an account, accept its licence ({licence}) at {page}, make a token at {tokens}, and \
         set HF_TOKEN to it{found}"
    )]
    Gated { repo: String, licence: String, page: String, tokens: String, found: &'static str },

    #[error("{endpoint} has no {kind} `{repo}`, or it is private; for a private one set HF_TOKEN{found}")]
    NoRepository { endpoint: String, kind: &'static str, repo: String, found: &'static str },

    #[error("`{repo}` has no revision `{revision}`; its branches, tags and commits are at {page}")]
    NoRevision { repo: String, revision: String, page: String },

    #[error(
        "`{address}` is no repository: {problem}; it is hf:OWNER/NAME, or hf:datasets/OWNER/NAME for data, with @REVISION if need be"
    )]
    Address { address: String, problem: String },

    #[error("`{repo}` has no file `{file}` in its revision {revision}")]
    NoFile { repo: String, file: String, revision: String },

    #[error(
        "{url} answers that there are too many requests and to come back {wait}; try again then, or set HF_TOKEN for a higher limit"
    )]
    TooManyRequests { url: String, wait: String },

    #[error("{url} answers with status {status}{message}")]
    Status { url: String, status: u16, message: String },

    #[error("{url} is not as a hub answers: {message}; check HF_ENDPOINT and any proxy")]
    Answer { url: String, message: String },

    #[error(
        "`{file}` of `{repo}`: the connection dropped at {have} of {size} bytes ({message}); run the same command again \
         to go on from there"
    )]
    Dropped { repo: String, file: String, have: u64, size: u64, message: String },

    #[error(
        "`{file}` of `{repo}`: its {algorithm} is {found}, but the hub says {expected}; it was not kept, download it again"
    )]
    Content { repo: String, file: String, algorithm: &'static str, expected: String, found: String },

    #[error(
        "offline, and the cache {cache} has no {missing} of `{repo}`; unset HF_HUB_OFFLINE and fetch it once, or set \
         HF_HUB_CACHE to a cache that has it"
    )]
    NotCached { repo: String, missing: String, cache: PathBuf },

    #[error(
        "{cache} has room for {free}, but {needed} are to be downloaded; make room or set HF_HUB_CACHE to a larger disk"
    )]
    NoRoom { cache: PathBuf, needed: String, free: String },

    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },

    #[error("cannot write {path}: {source}; make room or set HF_HUB_CACHE to a folder that can be written")]
    Write { path: PathBuf, source: std::io::Error },
}

impl HubError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> HubError {
        move |source| HubError::Read { path: path.to_path_buf(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> HubError {
        move |source| HubError::Write { path: path.to_path_buf(), source }
    }
}
