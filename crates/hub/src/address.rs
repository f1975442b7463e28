//! Repositories that a user names: `hf:owner/name`, `hf:datasets/owner/name`, each with `@revision` if need be.

use crate::bundles::{Bundle, Files, Kind, MAIN};
use crate::error::{HubError, Result};

/// What begins the name of a repository.
pub const PREFIX: &str = "hf:";

/// The repository at `address` as a bundle of its files, or of those only that are like one of the patterns `include`. It is kept
/// until the process ends.
///
/// Errors: `address` is no such name.
pub fn repository(address: &str, include: &[String]) -> Result<&'static Bundle> {
    let wrong =
        |problem: &str| HubError::Address { address: address.to_owned(), problem: problem.to_owned() };
    let rest = address.strip_prefix(PREFIX).ok_or_else(|| wrong("it does not begin with `hf:`"))?;
    let (path, revision) = rest.split_once('@').unwrap_or((rest, MAIN));
    let (kind, repo) = match path.strip_prefix("datasets/") {
        Some(repo) => (Kind::Dataset, repo),
        None => (Kind::Model, path),
    };
    let is_name = |part: &str| {
        let is_plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        !part.is_empty() && is_plain && part != "." && part != ".."
    };
    let parts: Vec<&str> = repo.split('/').collect();
    // The hub's oldest repositories have no owner.
    if parts.len() > 2 || !parts.iter().all(|part| is_name(part)) {
        return Err(wrong(&format!("`{repo}` is not OWNER/NAME")));
    }
    if !revision.split('/').all(is_name) {
        return Err(wrong(&format!("`{revision}` is no branch, tag or commit")));
    }
    let all = ["*".to_owned()];
    let patterns = if include.is_empty() { &all[..] } else { include };
    let files: Vec<Files> = patterns.iter().map(|pattern| Files::Matching(kept(pattern.clone()))).collect();
    let folder = if kind == Kind::Model { "models" } else { "data" };
    Ok(Box::leak(Box::new(Bundle {
        name: kept(address.to_owned()),
        about: "a repository of the hub",
        kind,
        repo: kept(repo.to_owned()),
        revision: kept(revision.to_owned()),
        files: Vec::leak(files),
        parts: &[],
        models: &[],
        setting: None,
        place: kept(format!("{folder}/{}", parts[parts.len() - 1])),
        inside: "",
        in_cache: false,
        licence: "",
        gated: false,
        about_bytes: 0,
    })))
}

fn kept(text: String) -> &'static str {
    String::leak(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_an_owner_a_name_and_a_revision() {
        let read = |address: &str| {
            let found = repository(address, &[]).map_err(|error| error.to_string())?;
            Ok::<_, String>((found.kind, found.repo, found.revision, found.place))
        };
        let model = (Kind::Model, "Qwen/Qwen2.5-0.5B", "main", "models/Qwen2.5-0.5B");
        assert_eq!(read("hf:Qwen/Qwen2.5-0.5B").unwrap(), model);
        let data = (Kind::Dataset, "stanfordnlp/imdb", "refs/convert/parquet", "data/imdb");
        assert_eq!(read("hf:datasets/stanfordnlp/imdb@refs/convert/parquet").unwrap(), data);
        assert_eq!(read("hf:gpt2").unwrap().1, "gpt2");
        for (address, said) in [
            ("Qwen/Qwen2.5", "does not begin with `hf:`"),
            ("hf:a/b/c", "`a/b/c` is not OWNER/NAME"),
            ("hf:../b", "`../b` is not OWNER/NAME"),
            ("hf:a/b@", "`` is no branch"),
            ("hf:a/b@../../x", "is no branch"),
            ("hf:", "`` is not OWNER/NAME"),
        ] {
            let message = read(address).unwrap_err();
            assert!(message.contains(said) && message.contains("hf:OWNER/NAME"), "{message}");
        }
    }
}
