//! What a repository holds, by the hub's own word.

use std::io::Read;

use serde::Deserialize;
use ureq::http::Method;

use crate::bundles::Bundle;
use crate::content::ContentHash;
use crate::error::{HubError, Result};
use crate::http::{Client, encoded};
use crate::progress::Progress;

/// More than any listing that is one.
const MAX_LISTING_BYTES: u64 = 64 << 20;

pub(crate) struct Listing {
    pub commit: String,
    /// The licence that the repository's page states.
    pub licence: Option<String>,
    pub files: Vec<ListedFile>,
}

#[derive(Clone, Debug)]
pub(crate) struct ListedFile {
    pub name: String,
    /// Bytes; some mirrors do not say.
    pub size: Option<u64>,
    pub hash: Option<ContentHash>,
}

#[derive(Deserialize)]
struct Info {
    sha: String,
    #[serde(default, rename = "cardData")]
    card: Option<Card>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Card {
    /// A text, or a list of texts.
    #[serde(default)]
    license: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    #[serde(rename = "rfilename")]
    name: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    sha256: String,
}

/// Asks the hub for a bundle's repository.
pub(crate) fn list(client: &Client, bundle: &Bundle, progress: &Progress) -> Result<Listing> {
    let (kind, repo) = (bundle.kind.plural(), bundle.repo);
    // A name as `refs/pr/1` is one part of the address.
    let revision = encoded(bundle.revision).replace('/', "%2F");
    let url = format!("{}/api/{kind}/{repo}/revision/{revision}?blobs=true", client.endpoint);
    let answer = client.send(&Method::GET, &url, 0, progress)?;
    if answer.status != 200 {
        return Err(client.refusal(bundle, None, answer));
    }
    let mut bytes = Vec::new();
    let mut body = answer.body.into_reader().take(MAX_LISTING_BYTES);
    body.read_to_end(&mut bytes)
        .map_err(|error| HubError::Unreachable { url: url.clone(), message: error.to_string() })?;
    parse(&bytes).map_err(|message| HubError::Answer { url, message })
}

fn parse(bytes: &[u8]) -> Result<Listing, String> {
    let info: Info = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if !is_commit(&info.sha) {
        return Err(format!("`sha` is `{}`, which is no commit", info.sha));
    }
    // Names become paths on this machine.
    if let Some(unsafe_name) = info.siblings.iter().find(|file| !is_safe(&file.name)) {
        return Err(format!("it lists the file `{}`, which would lie outside its folder", unsafe_name.name));
    }
    Ok(Listing {
        commit: info.sha,
        licence: info.card.and_then(|card| licence(&card.license)),
        files: info.siblings.into_iter().map(listed).collect(),
    })
}

fn listed(file: Sibling) -> ListedFile {
    let hash = match (file.lfs, file.blob_id) {
        (Some(large), _) => Some(ContentHash::Sha256(large.sha256.to_lowercase())),
        (None, Some(blob)) => Some(ContentHash::GitBlob(blob.to_lowercase())),
        (None, None) => None,
    };
    ListedFile { name: file.name, size: file.size, hash }
}

fn licence(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(one) => Some(one.clone()),
        serde_json::Value::Array(several) => {
            let several: Vec<&str> = several.iter().filter_map(|one| one.as_str()).collect();
            (!several.is_empty()).then(|| several.join(", "))
        }
        _ => None,
    }
}

pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_safe(name: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    name.split('/').all(plain) && !name.contains(['\\', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn parsed(rest: &str) -> Result<Listing, String> {
        parse(format!(r#"{{"sha":"{COMMIT}",{rest}}}"#).as_bytes())
    }

    #[test]
    fn large_and_small_files_have_their_own_hashes() {
        let listing = parsed(
            r#""gated":"auto","cardData":{"license":["mit","other"]},"siblings":[
                {"rfilename":"a/b.bin","size":7,"blobId":"aa","lfs":{"sha256":"BB","size":7,"pointerSize":1}},
                {"rfilename":"c.json","size":3,"blobId":"cc"},{"rfilename":"d"}]"#,
        )
        .unwrap();
        assert_eq!((listing.commit.as_str(), listing.licence.as_deref()), (COMMIT, Some("mit, other")));
        let hashes: Vec<_> = listing.files.iter().map(|file| (file.size, file.hash.clone())).collect();
        let expected = [
            (Some(7), Some(ContentHash::Sha256("bb".into()))),
            (Some(3), Some(ContentHash::GitBlob("cc".into()))),
            (None, None),
        ];
        assert_eq!(hashes, expected);
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in ["../x", "/etc/x", "a//b", "a/../../x", ""] {
            let error = parsed(&format!(r#""siblings":[{{"rfilename":"{name}"}}]"#)).err().unwrap();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
        assert_eq!(parsed(r#""siblings":[{"rfilename":"a/..b"}]"#).unwrap().files.len(), 1);
    }

    #[test]
    fn a_page_that_is_no_listing_is_an_error() {
        assert!(parse(b"<html>sign in</html>").is_err());
        let error = parse(br#"{"sha":"main"}"#).err().unwrap();
        assert!(error.contains("`main`"), "{error}");
    }
}
