//! A hub on this machine: listings, redirects, a store of large files on another port, and faults on demand.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::repository::{Content, Repository};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Names of its one commit, written as addresses have them.
const REVISIONS: [&str; 3] = ["main", "refs%2Fpr%2F1", COMMIT];
/// Content is made and sent in pieces of this size.
const PIECE_BYTES: u64 = 1 << 20;

pub struct HubServer {
    pub endpoint: String,
    state: Arc<State>,
}

struct State {
    /// Where large files are.
    store: String,
    commit: Mutex<String>,
    repositories: Vec<Repository>,
    faults: Mutex<Vec<Fault>>,
    seen: Mutex<Vec<Request>>,
    /// Bytes of content that went out.
    sent: AtomicU64,
    /// Contents that are being sent, now and at most.
    sending: (AtomicUsize, AtomicUsize),
}

struct Fault {
    /// Part of `METHOD path` of the requests that it befalls.
    on: String,
    times: usize,
    what: What,
}

#[derive(Clone)]
pub enum What {
    /// Status with headers, instead of an answer.
    Status(u16, &'static [(&'static str, &'static str)]),
    /// The connection ends after so many bytes of content.
    CutAfter(u64),
    /// Other content of the same length.
    OtherContent,
    /// The whole file, whatever range is asked for.
    NoRanges,
    /// Time before the content comes.
    Slow(Duration),
    /// A page instead of an answer.
    Page(&'static str),
}

#[derive(Clone, Debug)]
pub struct Request {
    /// Such as `GET /a/b`, without a query.
    pub line: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

impl HubServer {
    /// A hub with the data set `owner/notes` of these files: name, content, large or not.
    pub fn start(files: &[(&str, &[u8], bool)]) -> HubServer {
        HubServer::of(vec![Repository::new("datasets/owner/notes", files)])
    }

    /// A hub with these repositories.
    pub fn of(repositories: Vec<Repository>) -> HubServer {
        let (hub, store) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            store: address(&store),
            commit: Mutex::new(COMMIT.to_string()),
            repositories,
            faults: Mutex::default(),
            seen: Mutex::default(),
            sent: AtomicU64::new(0),
            sending: (AtomicUsize::new(0), AtomicUsize::new(0)),
        });
        let endpoint = address(&hub);
        for listener in [hub, store] {
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                for connection in listener.incoming().flatten() {
                    let state = Arc::clone(&state);
                    // A client may go away at any time.
                    std::thread::spawn(move || state.serve(connection).ok());
                }
            });
        }
        HubServer { endpoint, state }
    }

    /// Lets the next `times` requests whose `METHOD path` contains `on` go wrong.
    pub fn fault(&self, on: &str, times: usize, what: What) {
        self.state.faults.lock().unwrap().push(Fault { on: on.to_string(), times, what });
    }

    /// Makes `commit` the newest.
    pub fn commit(&self, commit: &str) {
        *self.state.commit.lock().unwrap() = commit.to_string();
    }

    /// Takes a file out of what can be downloaded, but not out of the listing.
    pub fn lose_content(&self, name: &str) {
        self.fault(
            &format!("{COMMIT}/{name}"),
            usize::MAX,
            What::Status(404, &[("X-Error-Code", "EntryNotFound")]),
        );
    }

    /// Requests since the last call.
    pub fn seen(&self) -> Vec<Request> {
        std::mem::take(&mut *self.state.seen.lock().unwrap())
    }

    /// Bytes of content that went out.
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }

    /// How many contents were sent at the same time, at most.
    pub fn most_at_once(&self) -> usize {
        self.state.sending.1.load(Ordering::SeqCst)
    }
}

impl State {
    fn serve(&self, mut connection: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(connection.try_clone()?).lines();
        let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let mut request = Request { line: String::new(), range: None, authorization: None };
        for line in lines {
            let line = line?;
            match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("range") => {
                    request.range = Some(value.to_string())
                }
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                    request.authorization = Some(value.to_string());
                }
                _ if line.is_empty() => break,
                _ => {}
            }
        }
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = path.split('?').next().unwrap_or_default();
        request.line = format!("{method} {path}");
        self.seen.lock().unwrap().push(request.clone());
        let fault = self.next_fault(&request.line);
        if let Some(What::Status(status, headers)) = fault {
            return answer(&mut connection, status, headers, b"", true);
        }
        if let Some(What::Page(page)) = fault {
            return answer(&mut connection, 200, &[("Content-Type", "text/html")], page.as_bytes(), true);
        }
        self.route(&mut connection, (method, path), request.range.as_deref(), fault)
    }

    fn next_fault(&self, line: &str) -> Option<What> {
        let mut faults = self.faults.lock().unwrap();
        let fault = faults.iter_mut().find(|fault| fault.times > 0 && line.contains(&fault.on))?;
        fault.times -= 1;
        Some(fault.what.clone())
    }

    fn route(
        &self,
        connection: &mut TcpStream,
        (method, path): (&str, &str),
        range: Option<&str>,
        fault: Option<What>,
    ) -> std::io::Result<()> {
        let not_found =
            |connection: &mut TcpStream, code| answer(connection, 404, &[("X-Error-Code", code)], b"", true);
        let found = self.repositories.iter().enumerate().find_map(|(index, repository)| {
            let (kind, name) = repository.name.split_once('/').unwrap();
            // It has one commit, which all its revisions are.
            if path.starts_with(&format!("/api/{kind}/{name}/revision/")) {
                return Some((index, repository, None));
            }
            let page = if kind == "models" { name } else { &repository.name };
            let resolve = format!("/{page}/resolve/");
            let routes = [resolve, format!("/cache/{index}"), format!("/store/{index}")];
            let rest = routes.iter().find_map(|route| path.strip_prefix(route))?;
            Some((index, repository, Some(rest.split_once('/')?.1)))
        });
        let Some((index, repository, name)) = found else {
            return not_found(connection, "RepoNotFound");
        };
        let Some(name) = name else {
            if !REVISIONS.iter().any(|revision| path.ends_with(&format!("/revision/{revision}"))) {
                return not_found(connection, "RevisionNotFound");
            }
            let listing = repository.listing(&self.commit.lock().unwrap());
            let headers = [("Content-Type", "application/json")];
            return answer(connection, 200, &headers, listing.as_bytes(), true);
        };
        let Some(file) = repository.files.iter().find(|file| file.name == name) else {
            return not_found(connection, "EntryNotFound");
        };
        let (etag, size) = (format!("\"{}\"", file.etag()), file.content.len().to_string());
        if path.contains("/resolve/") {
            let location = match file.is_large {
                true => format!("{}/store/{index}/{}?signature=secret", self.store, file.name),
                false => format!("/cache/{index}/{}", file.name),
            };
            let mut headers = vec![("Location", location.as_str()), ("ETag", "\"of-the-redirect\"")];
            if file.is_large {
                headers.extend([("X-Linked-Etag", etag.as_str()), ("X-Linked-Size", size.as_str())]);
            }
            let status = if file.is_large { 302 } else { 307 };
            return answer(connection, status, &headers, b"moved", method != "HEAD");
        }
        let (sending, most) = &self.sending;
        most.fetch_max(sending.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let outcome = self.content(connection, &file.content, (&etag, method != "HEAD"), range, fault);
        sending.fetch_sub(1, Ordering::SeqCst);
        outcome
    }

    /// A file's content, or the range of it that is asked for.
    fn content(
        &self,
        connection: &mut TcpStream,
        whole: &Content,
        (etag, with_body): (&str, bool),
        range: Option<&str>,
        fault: Option<What>,
    ) -> std::io::Result<()> {
        if let Some(What::Slow(time)) = fault {
            std::thread::sleep(time);
        }
        let start =
            range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<u64>().ok());
        let start = start.filter(|_| !matches!(fault, Some(What::NoRanges)));
        let (status, from, size) = (if start.is_some() { 206 } else { 200 }, start.unwrap_or(0), whole.len());
        let range = format!("bytes {from}-{}/{size}", size - 1);
        let mut headers = vec![("ETag", etag)];
        if status == 206 {
            headers.push(("Content-Range", range.as_str()));
        }
        write_head(connection, status, &headers, size - from)?;
        let end = match fault {
            _ if !with_body => from,
            Some(What::CutAfter(bytes)) => size.min(from + bytes),
            _ => size,
        };
        for at in (from..end).step_by(PIECE_BYTES as usize) {
            let mut piece = whole.piece(at..end.min(at + PIECE_BYTES));
            if let Some(What::OtherContent) = fault {
                piece.iter_mut().for_each(|byte| *byte ^= 1);
            }
            connection.write_all(&piece)?;
            self.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
        }
        Ok(())
    }
}

fn answer(
    connection: &mut TcpStream,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
    with_body: bool,
) -> std::io::Result<()> {
    write_head(connection, status, headers, body.len() as u64)?;
    if with_body { connection.write_all(body) } else { Ok(()) }
}

fn write_head(
    connection: &mut TcpStream,
    status: u16,
    headers: &[(&str, &str)],
    length: u64,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    connection.write_all(format!("{head}\r\n").as_bytes())
}
