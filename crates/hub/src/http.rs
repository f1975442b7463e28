//! Requests to the hub: redirects, waiting and trying again, and what a refusal means.

use std::path::Path;
use std::time::Duration;

use ureq::http::{HeaderMap, Method, Request, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::bundles::{Bundle, Kind};
use crate::environment::Environment;
use crate::error::{HubError, Result};
use crate::progress::Progress;

const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// A server that is silent for so long is taken for gone.
const SILENCE: Duration = Duration::from_secs(60);
const MAX_REDIRECTS: usize = 10;

/// How often, and how soon, a request is made again that failed for a reason that may pass.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Requests in a row that may fail.
    pub tries: u32,
    /// Doubled after each failure.
    pub first_wait: Duration,
    /// A hub that asks for more than this is not waited for.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { tries: 5, first_wait: Duration::from_secs(1), longest_wait: Duration::from_secs(120) }
    }
}

impl Patience {
    /// Time to wait after `failures` failures.
    pub(crate) fn wait(&self, failures: u32) -> Duration {
        self.first_wait.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.longest_wait)
    }
}

pub(crate) struct Client {
    agent: Agent,
    pub endpoint: String,
    token: Option<String>,
    pub patience: Patience,
}

/// Answer to a request, after its redirects.
pub(crate) struct Answer {
    pub url: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Body,
}

impl Client {
    pub fn new(environment: &Environment, patience: Patience) -> Result<Client> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // Followed here, since the token must not go to another host.
            .max_redirects(0)
            .user_agent(concat!("delora/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_per_read(Some(SILENCE))
            .timeout_recv_response(Some(SILENCE));
        if let Some(path) = &environment.certificates {
            config = config.tls_config(TlsConfig::builder().root_certs(certificates(path)?).build());
        }
        if is_loopback(&environment.endpoint) {
            config = config.proxy(None);
        }
        Ok(Client {
            agent: config.build().into(),
            endpoint: environment.endpoint.clone(),
            token: environment.token.clone(),
            patience,
        })
    }

    /// Sends a request until the answer is neither a passing failure nor a redirect to follow.
    ///
    /// GET follows every redirect. HEAD follows those within the host only: what stores the content need not know
    /// the hub's headers. From `range_from` on is asked for when it is not 0.
    pub fn send(&self, method: &Method, url: &str, range_from: u64, progress: &Progress) -> Result<Answer> {
        let mut failures = 0;
        loop {
            let outcome = self.follow(method, url, range_from);
            failures += 1;
            let wait = match &outcome {
                Err(HubError::Unreachable { .. }) => self.patience.wait(failures),
                Ok(answer) if is_passing(answer.status) => {
                    let asked = retry_after(&answer.headers);
                    if answer.status == 429 && asked.is_some_and(|asked| asked > self.patience.longest_wait) {
                        return outcome;
                    }
                    asked
                        .unwrap_or(Duration::ZERO)
                        .min(self.patience.longest_wait)
                        .max(self.patience.wait(failures))
                }
                _ => return outcome,
            };
            if failures >= self.patience.tries {
                return outcome;
            }
            progress.notice(&match &outcome {
                Ok(answer) => format!("status {} from {url}; again in {}", answer.status, seconds(wait)),
                Err(HubError::Unreachable { url, message }) => {
                    format!("cannot reach {url}: {message}; again in {}", seconds(wait))
                }
                Err(error) => error.to_string(),
            });
            std::thread::sleep(wait);
        }
    }

    fn follow(&self, method: &Method, url: &str, range_from: u64) -> Result<Answer> {
        let mut url = url.to_string();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.once(method, &url, range_from)?;
            if !(300..400).contains(&answer.status) || answer.status == 304 {
                return Ok(answer);
            }
            let location = text(&answer.headers, header::LOCATION.as_str()).unwrap_or_default().to_string();
            if *method == Method::HEAD && !is_within_host(&location) {
                return Ok(answer);
            }
            url = join(&url, &location).ok_or_else(|| HubError::Answer {
                url: url.clone(),
                message: format!("it redirects to `{location}`"),
            })?;
        }
        Err(HubError::Answer { url, message: format!("it redirects more than {MAX_REDIRECTS} times") })
    }

    fn once(&self, method: &Method, url: &str, range_from: u64) -> Result<Answer> {
        // Compressed, a file would have neither its size nor its ranges.
        let mut request =
            Request::builder().method(method).uri(url).header(header::ACCEPT_ENCODING, "identity");
        if let (Some(token), true) = (&self.token, origin(url) == origin(&self.endpoint)) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if range_from > 0 {
            request = request.header(header::RANGE, format!("bytes={range_from}-"));
        }
        let request = request
            .body(())
            .map_err(|error| HubError::Answer { url: url.to_string(), message: error.to_string() })?;
        let (parts, body) = self.agent.run(request).map_err(|error| failure(url, &error))?.into_parts();
        Ok(Answer { url: url.to_string(), status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// What an answer that is no success means for `bundle`, of which `file` or all was asked for.
    pub fn refusal(&self, bundle: &Bundle, file: Option<&str>, answer: Answer) -> HubError {
        let code = text(&answer.headers, "x-error-code").unwrap_or_default();
        let (repo, page) =
            (bundle.repo.to_string(), format!("{}/{}{}", self.endpoint, bundle.kind.prefix(), bundle.repo));
        match (answer.status, code) {
            (_, "GatedRepo") => self.gated(bundle, page),
            (401 | 403, "RepoNotFound" | "") if bundle.gated => self.gated(bundle, page),
            (_, "RepoNotFound") | (401, _) => self.no_repository(bundle),
            (_, "RevisionNotFound") => {
                HubError::NoRevision { repo, revision: bundle.revision.to_string(), page }
            }
            (404, _) => match file {
                Some(file) => {
                    HubError::NoFile { repo, file: file.to_string(), revision: bundle.revision.to_string() }
                }
                None => self.no_repository(bundle),
            },
            (429, _) => HubError::TooManyRequests {
                url: without_query(&answer.url),
                wait: retry_after(&answer.headers)
                    .map_or("later".to_string(), |wait| format!("in {}", seconds(wait))),
            },
            (status, _) => HubError::Status {
                url: without_query(&answer.url),
                status,
                message: text(&answer.headers, "x-error-message")
                    .map(|said| format!(": {said}"))
                    .unwrap_or_default(),
            },
        }
    }

    fn gated(&self, bundle: &Bundle, page: String) -> HubError {
        HubError::Gated {
            repo: bundle.repo.to_string(),
            licence: bundle.licence.to_string(),
            page,
            tokens: format!("{}/settings/tokens", self.endpoint),
            found: match self.token {
                Some(_) => "; the token that is set has no access",
                None => "; none is set",
            },
        }
    }

    fn no_repository(&self, bundle: &Bundle) -> HubError {
        HubError::NoRepository {
            endpoint: self.endpoint.clone(),
            kind: match bundle.kind {
                Kind::Model => "model",
                Kind::Dataset => "data set",
            },
            repo: bundle.repo.to_string(),
            found: match self.token {
                Some(_) => "; the token that is set is wrong, or has no access",
                None => "",
            },
        }
    }
}

/// A name as a part of an address, with its slashes.
pub(crate) fn encoded(name: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    name.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn certificates(path: &Path) -> Result<RootCerts> {
    let wrong = |message: String| HubError::Certificates { path: path.to_path_buf(), message };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(wrong("it holds none in PEM form".to_string()));
    }
    Ok(RootCerts::new_with_certs(&found))
}

/// What it means that a request had no answer. A certificate that is not trusted will not be so later.
fn failure(url: &str, error: &ureq::Error) -> HubError {
    let (url, message) = (without_query(url), error.to_string());
    match error {
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => HubError::Untrusted { url, message },
        // Errors of TLS while data flow.
        ureq::Error::Io(source) if source.kind() == std::io::ErrorKind::InvalidData => {
            HubError::Untrusted { url, message }
        }
        _ => HubError::Unreachable { url, message },
    }
}

/// Text of a header.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    text(headers, header::RETRY_AFTER.as_str())?.trim().parse().ok().map(Duration::from_secs)
}

fn seconds(wait: Duration) -> String {
    format!("{} s", wait.as_secs_f64().ceil())
}

/// Scheme, host and port.
fn origin(url: &str) -> &str {
    let host_at = url.find("://").map_or(0, |at| at + "://".len());
    url[host_at..].find(['/', '?', '#']).map_or(url, |at| &url[..host_at + at])
}

/// An address without what follows its path: there may be a signature.
fn without_query(url: &str) -> String {
    url.split('?').next().unwrap_or(url).to_string()
}

fn is_within_host(location: &str) -> bool {
    location.starts_with('/') && !location.starts_with("//")
}

fn is_loopback(url: &str) -> bool {
    let host = origin(url).split_once("://").map_or("", |(_, host)| host);
    host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
}

/// The address that a `Location` header in an answer of `base` stands for.
fn join(base: &str, location: &str) -> Option<String> {
    if location.starts_with("https://") || location.starts_with("http://") {
        Some(location.to_string())
    } else if is_within_host(location) {
        Some(format!("{}{location}", origin(base)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_joined_to_the_address_that_gave_them() {
        let base = "https://hub.example:8443/a/resolve/main/b?x=1";
        assert_eq!(join(base, "/c?d").unwrap(), "https://hub.example:8443/c?d");
        assert_eq!(join(base, "http://cdn.example/e").unwrap(), "http://cdn.example/e");
        assert_eq!(join(base, ""), None);
        assert_eq!(join(base, "ftp://cdn.example"), None);
    }

    #[test]
    fn another_scheme_or_port_is_another_origin() {
        assert_eq!(origin("https://hub.example/a"), "https://hub.example");
        assert_ne!(origin("https://hub.example/a"), origin("http://hub.example/a"));
        assert_ne!(origin("https://hub.example/a"), origin("https://hub.example:8443/a"));
        assert_ne!(origin("https://hub.example"), origin("https://hub.example.evil/a"));
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let patience = Patience::default();
        let waits: Vec<u64> = [1, 2, 3, 40].map(|failures| patience.wait(failures).as_secs()).to_vec();
        assert_eq!(waits, [1, 2, 4, 120]);
    }

    #[test]
    fn certificates_that_are_none_are_an_error_naming_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roots.pem");
        let absent = certificates(&path).unwrap_err().to_string();
        assert!(absent.contains("roots.pem") && absent.contains("SSL_CERT_FILE"), "{absent}");
        std::fs::write(&path, "none").unwrap();
        let empty = certificates(&path).unwrap_err().to_string();
        assert!(empty.contains("it holds none in PEM form"), "{empty}");
    }

    #[test]
    fn names_are_encoded_for_addresses() {
        assert_eq!(encoded("a b/c#1-é.txt"), "a%20b/c%231-%C3%A9.txt");
    }
}
