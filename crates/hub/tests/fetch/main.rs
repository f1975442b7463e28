//! Fetching from a small hub on this machine: what arrives, what is asked for, and what goes wrong.

mod arrives;
mod bundles;
mod large;
mod named;
mod refused;
mod repository;
mod server;
mod without_hub;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hub::{Bundle, Environment, Files, Hub, HubError, Kind, Part, Patience, Plan, Progress};
use server::HubServer;

const TRAIN: &str = "a/train-00000-of-00001.parquet";
const VALIDATION: &str = "b/validation-00000-of-00001.parquet";

static NOTES: Bundle = Bundle {
    name: "notes",
    about: "notes to test with",
    kind: Kind::Dataset,
    repo: "owner/notes",
    revision: hub::MAIN,
    files: &[Files::Each("card.json")],
    parts: &[
        Part { name: "a", files: &[Files::Each("a/train-*.parquet")] },
        Part { name: "b", files: &[Files::Each("b/validation-*.parquet")] },
    ],
    models: &[],
    setting: Some("data"),
    place: "data/notes",
    inside: "",
    in_cache: false,
    licence: "Note Licence 2",
    gated: false,
    about_bytes: 1,
};

/// Files at a time.
const JOBS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// A client with a cache of its own.
struct Client {
    folder: tempfile::TempDir,
    endpoint: String,
    token: Option<String>,
    offline: bool,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Content that no other part of it equals.
fn train() -> Vec<u8> {
    (0..300_000_u32).flat_map(|number| number.to_le_bytes()).collect()
}

/// A hub with the notes, and a client of it.
fn served() -> (HubServer, Client) {
    let server = notes();
    let client = Client::of(&server);
    (server, client)
}

/// The data set of [`NOTES`], with a file that nobody asks for.
fn notes() -> HubServer {
    let train = train();
    HubServer::start(&[
        ("card.json", b"{\"a\": 1}", false),
        (TRAIN, &train, true),
        (VALIDATION, b"validation", true),
        ("a/test-00000-of-00001.parquet", b"test", true),
    ])
}

impl Client {
    fn of(server: &HubServer) -> Client {
        Client {
            folder: tempfile::tempdir().unwrap(),
            endpoint: server.endpoint.clone(),
            token: None,
            offline: false,
            lines: Arc::default(),
        }
    }

    fn hub(&self) -> Hub {
        let environment = Environment {
            endpoint: self.endpoint.clone(),
            cache: self.folder.path().to_path_buf(),
            token: self.token.clone(),
            offline: self.offline,
            certificates: None,
        };
        let patience =
            Patience { tries: 3, first_wait: Duration::from_millis(1), longest_wait: Duration::from_secs(2) };
        Hub::new(&environment, patience).unwrap()
    }

    fn progress(&self) -> Progress {
        let lines = Arc::clone(&self.lines);
        Progress::lines(move |line| lines.lock().unwrap().push(line.to_string()))
    }

    fn plan(&self, parts: &[&str]) -> Result<Plan, HubError> {
        let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        self.hub().plan(&NOTES, &parts, &self.progress())
    }

    fn fetch_all(&self, bundles: &[&'static Bundle]) -> Result<Vec<Plan>, HubError> {
        let (hub, progress) = (self.hub(), self.progress());
        let plans = bundles.iter().map(|bundle| hub.plan(bundle, &[], &progress));
        let plans = plans.collect::<Result<Vec<Plan>, HubError>>()?;
        hub.download(&plans, JOBS, &progress)?;
        Ok(plans)
    }

    fn fetch(&self, parts: &[&str]) -> Result<Plan, HubError> {
        let plan = self.plan(parts)?;
        self.hub().download(std::slice::from_ref(&plan), JOBS, &self.progress())?;
        Ok(plan)
    }

    fn error(&self, parts: &[&str]) -> HubError {
        self.fetch(parts).err().expect("something was to go wrong")
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("datasets--owner--notes")
    }

    /// All files of a folder of the repository, by name, links that lead nowhere too.
    fn files(&self, folder: &str) -> Vec<String> {
        let mut names = Vec::new();
        walk(&self.repository().join(folder), "", &mut names);
        names.sort();
        names
    }

    fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

fn walk(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &format!("{name}/"), names);
        } else {
            names.push(name);
        }
    }
}
