//! The environment variables of Python's `huggingface_hub`, with its meanings and defaults.

use std::path::{Path, PathBuf};

use crate::error::{HubError, Result};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Where the hub and the cache are, and who asks.
///
/// | variable                                        | meaning                                                     |
/// |-------------------------------------------------|-------------------------------------------------------------|
/// | `HF_ENDPOINT`                                   | the hub or a mirror of it                                   |
/// | `HF_HUB_CACHE`, else `HUGGINGFACE_HUB_CACHE`    | the cache, else `hub` in `HF_HOME`                          |
/// | `HF_HOME`                                       | else `huggingface` in `XDG_CACHE_HOME`, else in `~/.cache`  |
/// | `HF_TOKEN`, else `HUGGING_FACE_HUB_TOKEN`       | the token, else read from `HF_TOKEN_PATH` or `token` in `HF_HOME` |
/// | `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`      | 1, ON, YES or TRUE: use the cache only                      |
/// | `SSL_CERT_FILE`, else `REQUESTS_CA_BUNDLE`      | certificates to trust instead of the built-in ones          |
///
/// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are honoured by the HTTP library.
pub struct Environment {
    pub endpoint: String,
    pub cache: PathBuf,
    pub token: Option<String>,
    pub offline: bool,
    pub certificates: Option<PathBuf>,
}

impl Environment {
    pub fn of_process() -> Result<Environment> {
        Environment::from_variables(|name| std::env::var(name).ok())
    }

    /// `get` looks a variable up; an empty one counts as absent.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Environment> {
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let user = get("HOME").map(PathBuf::from);
        let path = |name: &str| get(name).map(|text| expand(&text, user.as_deref()));
        let home = path("HF_HOME")
            .or_else(|| Some(path("XDG_CACHE_HOME")?.join("huggingface")))
            .or_else(|| Some(user.as_ref()?.join(".cache/huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(home.as_ref()?.join("hub")))
            .ok_or(HubError::NoHome)?;
        let token_file = path("HF_TOKEN_PATH").or_else(|| Some(home?.join("token")));
        let token = get("HF_TOKEN")
            .or_else(|| get("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| std::fs::read_to_string(token_file?).ok())
            .map(|token| token.trim().to_string())
            .filter(|token| !token.is_empty());
        if token.iter().any(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(HubError::Token);
        }
        let endpoint = get("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_string());
        let endpoint = endpoint.trim().trim_end_matches('/').to_string();
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(HubError::Endpoint { endpoint });
        }
        let is_true = |name: &str| {
            get(name).is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str()))
        };
        Ok(Environment {
            endpoint,
            cache,
            token,
            offline: is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE"),
            certificates: path("SSL_CERT_FILE").or_else(|| path("REQUESTS_CA_BUNDLE")),
        })
    }
}

/// Replaces a leading `~` by the user's folder.
fn expand(text: &str, user: Option<&Path>) -> PathBuf {
    match (text.strip_prefix('~'), user) {
        (Some(""), Some(user)) => user.to_path_buf(),
        (Some(rest), Some(user)) if rest.starts_with('/') => user.join(&rest[1..]),
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<Environment> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
        Environment::from_variables(|name| find(name).map(|(_, value)| value.to_string()))
    }

    fn cache(variables: &[(&str, &str)]) -> String {
        environment(variables).unwrap().cache.display().to_string()
    }

    #[test]
    fn the_cache_is_where_python_looks_for_it() {
        assert_eq!(cache(&[("HOME", "/u")]), "/u/.cache/huggingface/hub");
        assert_eq!(cache(&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x")]), "/x/huggingface/hub");
        assert_eq!(cache(&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/h")]), "/u/h/hub");
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/old")]), "/old");
        assert_eq!(cache(&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")]), "/new");
        assert_eq!(cache(&[("HF_HUB_CACHE", ""), ("HF_HOME", "/h")]), "/h/hub", "empty is absent");
        assert!(matches!(environment(&[]), Err(HubError::NoHome)));
    }

    #[test]
    fn the_token_comes_from_its_variable_or_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        let token = |variables: &[(&str, &str)]| environment(variables).map(|found| found.token);
        assert_eq!(token(&[("HF_HOME", home)]).unwrap().as_deref(), Some("hf_file"));
        assert_eq!(
            token(&[("HF_HOME", home), ("HF_TOKEN", "hf_variable")]).unwrap().as_deref(),
            Some("hf_variable")
        );
        assert_eq!(token(&[("HF_HOME", "/nowhere")]).unwrap(), None);
        let error = token(&[("HF_HOME", home), ("HF_TOKEN", "hf secret")]).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn offline_is_on_for_the_words_that_python_takes_for_yes() {
        let offline = |name, value| environment(&[("HF_HOME", "/h"), (name, value)]).unwrap().offline;
        assert!(offline("HF_HUB_OFFLINE", "1") && offline("TRANSFORMERS_OFFLINE", "yes"));
        assert!(!offline("HF_HUB_OFFLINE", "0") && !offline("HF_HUB_OFFLINE", "off"));
    }

    #[test]
    fn an_endpoint_is_an_address() {
        let endpoint = |value| environment(&[("HF_HOME", "/h"), ("HF_ENDPOINT", value)]);
        assert_eq!(endpoint("https://mirror.example/").unwrap().endpoint, "https://mirror.example");
        assert_eq!(endpoint("").unwrap().endpoint, DEFAULT_ENDPOINT);
        let error = endpoint("mirror.example").err().unwrap().to_string();
        assert!(error.contains("`mirror.example`") && error.contains("https://"), "{error}");
    }
}
