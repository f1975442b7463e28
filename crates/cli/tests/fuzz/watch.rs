//! Child processes that try the inputs, watched from outside.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::worker::MARK;

/// Children side by side, each with every other input.
const CHILDREN: u64 = 2;
/// Address space of a child in KiB: what asks for more than this is out of proportion to the input.
const MEMORY_KIB: u64 = 5 << 20;
/// Longer than any input takes, in a debug build on a busy machine.
const LONGEST: Duration = Duration::from_secs(90);

pub struct Fault {
    pub kind: String,
    pub index: u64,
    /// Equal for faults that look alike.
    pub group: String,
    pub message: String,
    pub what: String,
    pub folder: PathBuf,
}

#[derive(Default)]
pub struct Outcome {
    pub faults: Vec<Fault>,
    /// Inputs by kind and by what became of them, and their seconds.
    pub counts: BTreeMap<String, (u64, f64)>,
    pub seconds: f64,
}

pub fn run(seed: u64, range: Range<u64>) -> Outcome {
    let begun = Instant::now();
    let root = std::env::temp_dir().join(format!("delora-fuzz-{seed}-{}", std::process::id()));
    std::fs::create_dir_all(&root).expect("the folder of temporary files can be written");
    let parts: Vec<Outcome> = thread::scope(|scope| {
        let part = |child| {
            scope.spawn({
                let (root, range) = (&root, &range);
                move || watched(root, seed, child, range)
            })
        };
        let threads: Vec<_> = (0..CHILDREN).map(part).collect();
        threads.into_iter().map(|thread| thread.join().expect("the watch does not panic")).collect()
    });
    let mut outcome = Outcome { seconds: begun.elapsed().as_secs_f64(), ..Outcome::default() };
    for part in parts {
        outcome.faults.extend(part.faults);
        for (kind, (count, seconds)) in part.counts {
            let whole = outcome.counts.entry(kind).or_default();
            *whole = (whole.0 + count, whole.1 + seconds);
        }
    }
    outcome.faults.sort_by_key(|fault| fault.index);
    if outcome.faults.is_empty() {
        std::fs::remove_dir_all(&root).expect("temporary files can be removed");
    }
    outcome
}

/// Runs one child's inputs, in as many processes one after another as end early.
fn watched(root: &Path, seed: u64, child: u64, range: &Range<u64>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut next = range.start + child;
    while next < range.end {
        let errors = root.join(format!("child-{child}.txt"));
        let mut process = start(root, seed, next, range.end, &errors);
        let lines = lines_of(&mut process);
        let mut current: Option<Value> = None;
        let mut is_alive = false;
        let ended = loop {
            match lines.recv_timeout(LONGEST) {
                Ok(line) if line["begin"].is_string() => {
                    current = Some(line);
                    is_alive = true;
                }
                Ok(line) => {
                    take(&mut outcome, &line, root);
                    next = line["index"].as_u64().expect("a child counts") + CHILDREN;
                    current = None;
                }
                Err(RecvTimeoutError::Disconnected) => break "ended by itself",
                Err(RecvTimeoutError::Timeout) => {
                    process.kill().expect("a child can be ended");
                    break "took too long";
                }
            }
        };
        let status = process.wait().expect("a child can be waited for");
        if let Some(line) = current {
            let message = format!("the process {ended}: {status}; {}", last_line(&errors));
            let index = line["index"].as_u64().expect("a child counts");
            let group = format!("the process {ended}");
            let kind = line["begin"].as_str().unwrap_or_default().to_owned();
            let folder = root.join(index.to_string());
            outcome.faults.push(Fault { kind, index, group, message, what: "its folder".to_owned(), folder });
            next = index + CHILDREN;
        } else if !is_alive {
            panic!("a child does not start: {status}; {}", last_line(&errors));
        }
    }
    outcome
}

fn start(root: &Path, seed: u64, first: u64, end: u64, errors: &Path) -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$0\" --exact worker --nocapture")]);
    command
        .arg(program)
        .env("FUZZ_WORKER", format!("{seed} {first} {end} {CHILDREN}"))
        .env("FUZZ_FOLDER", root);
    command
        .env("OMP_NUM_THREADS", "1")
        .env("RAYON_NUM_THREADS", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command.stderr(std::fs::File::create(errors).expect("temporary files can be written"));
    command.spawn().expect("this program can be started")
}

/// What a child reports, as it comes.
fn lines_of(process: &mut Child) -> Receiver<Value> {
    let output = process.stdout.take().expect("it is piped");
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let Some((_, report)) = line.split_once(MARK) else { continue };
            let Ok(report) = serde_json::from_str(report) else { continue };
            if sender.send(report).is_err() {
                break;
            }
        }
    });
    receiver
}

fn take(outcome: &mut Outcome, line: &Value, root: &Path) {
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let (kind, became) = (text("kind"), text("became"));
    let whole = outcome.counts.entry(format!("{kind}: {became}")).or_default();
    *whole = (whole.0 + 1, whole.1 + line["seconds"].as_f64().unwrap_or(0.0));
    if became == "faulty" {
        let index = line["index"].as_u64().expect("a child counts");
        // Said at once, for a run that is ended before its end.
        println!("fault {index}, {kind}: {}", text("message").chars().take(200).collect::<String>());
        outcome.faults.push(Fault {
            kind,
            index,
            group: text("group"),
            message: text("message"),
            what: text("what"),
            folder: root.join(index.to_string()),
        });
    }
}

fn last_line(errors: &Path) -> String {
    let text = std::fs::read(errors).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().last().unwrap_or_default().to_owned()
}
