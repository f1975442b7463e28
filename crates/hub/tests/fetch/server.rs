//! A hub on this machine: listings, redirects, a store of large files on another port, and faults on demand.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::Digest;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const RESOLVE: &str = "/datasets/owner/notes/resolve/";

pub struct HubServer {
    pub endpoint: String,
    state: Arc<State>,
}

struct State {
    /// Where large files are.
    store: String,
    commit: Mutex<String>,
    files: Mutex<Vec<Served>>,
    faults: Mutex<Vec<Fault>>,
    seen: Mutex<Vec<Request>>,
}

#[derive(Clone)]
struct Served {
    name: String,
    content: Vec<u8>,
    /// Outside git: its hash is a SHA-256, and it comes from the store.
    is_large: bool,
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
    CutAfter(usize),
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
    /// As in `GET /a/b`, without a query.
    pub line: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

impl HubServer {
    /// A hub with the data set `owner/notes` of these files: name, content, large or not.
    pub fn start(files: &[(&str, &[u8], bool)]) -> HubServer {
        let (hub, store) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let served = |&(name, content, is_large): &(&str, &[u8], bool)| Served {
            name: name.to_string(),
            content: content.to_vec(),
            is_large,
        };
        let state = Arc::new(State {
            store: address(&store),
            commit: Mutex::new(COMMIT.to_string()),
            files: Mutex::new(files.iter().map(served).collect()),
            faults: Mutex::default(),
            seen: Mutex::default(),
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
}

pub fn hex_sha256(content: &[u8]) -> String {
    sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn git_blob(content: &[u8]) -> String {
    let state = sha1::Sha1::new().chain_update(format!("blob {}\0", content.len())).chain_update(content);
    state.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Served {
    fn etag(&self) -> String {
        if self.is_large { hex_sha256(&self.content) } else { git_blob(&self.content) }
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
        if path == "/api/datasets/owner/notes/revision/main" {
            let listing = self.listing();
            return answer(
                connection,
                200,
                &[("Content-Type", "application/json")],
                listing.as_bytes(),
                true,
            );
        }
        let name = [RESOLVE, "/cache/", "/store/"].iter().find_map(|route| path.strip_prefix(route));
        let name = name.and_then(|rest| rest.split_once('/')).map(|(_, name)| name);
        let files = self.files.lock().unwrap().clone();
        let Some(file) = files.iter().find(|file| Some(file.name.as_str()) == name) else {
            return not_found(
                connection,
                if path.starts_with("/api/") { "RepoNotFound" } else { "EntryNotFound" },
            );
        };
        let (etag, size) = (format!("\"{}\"", file.etag()), file.content.len().to_string());
        if path.starts_with(RESOLVE) {
            let location = match file.is_large {
                true => format!("{}/store/x/{}?signature=secret", self.store, file.name),
                false => format!("/cache/x/{}", file.name),
            };
            let mut headers = vec![("Location", location.as_str()), ("ETag", "\"of-the-redirect\"")];
            if file.is_large {
                headers.extend([("X-Linked-Etag", etag.as_str()), ("X-Linked-Size", size.as_str())]);
            }
            return answer(
                connection,
                if file.is_large { 302 } else { 307 },
                &headers,
                b"moved",
                method != "HEAD",
            );
        }
        content(connection, &file.content, (&etag, method != "HEAD"), range, fault)
    }

    fn listing(&self) -> String {
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
        let files: Vec<String> = self.files.lock().unwrap().iter().map(one).collect();
        let commit = self.commit.lock().unwrap();
        format!(r#"{{"sha":"{commit}","cardData":{{"license":"mit"}},"siblings":[{}]}}"#, files.join(","))
    }
}

/// A file's content, or the range of it that is asked for.
fn content(
    connection: &mut TcpStream,
    whole: &[u8],
    (etag, with_body): (&str, bool),
    range: Option<&str>,
    fault: Option<What>,
) -> std::io::Result<()> {
    let whole = match fault {
        Some(What::OtherContent) => whole.iter().map(|byte| byte ^ 1).collect(),
        _ => whole.to_vec(),
    };
    if let Some(What::Slow(time)) = fault {
        std::thread::sleep(time);
    }
    let start =
        range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let start = start.filter(|_| !matches!(fault, Some(What::NoRanges)));
    let (status, body) = start.map_or((200, &whole[..]), |start| (206, &whole[start..]));
    let from = start.unwrap_or(0);
    let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
    let mut headers = vec![("ETag", etag)];
    if status == 206 {
        headers.push(("Content-Range", range.as_str()));
    }
    match fault {
        Some(What::CutAfter(bytes)) => {
            write_head(connection, status, &headers, body.len())?;
            connection.write_all(&body[..bytes.min(body.len())])
        }
        _ => answer(connection, status, &headers, body, with_body),
    }
}

fn answer(
    connection: &mut TcpStream,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
    with_body: bool,
) -> std::io::Result<()> {
    write_head(connection, status, headers, body.len())?;
    if with_body { connection.write_all(body) } else { Ok(()) }
}

fn write_head(
    connection: &mut TcpStream,
    status: u16,
    headers: &[(&str, &str)],
    length: usize,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    connection.write_all(format!("{head}\r\n").as_bytes())
}
