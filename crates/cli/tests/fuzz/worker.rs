//! The child process: tries inputs one after another and reports each on a line.

use std::cell::OnceCell;
use std::fs;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use delora_core::Site;
use llama_it::Instruct;
use roberta_glue::Glue;
use sd_driver::{SemanticMap, SubjectDriven};
use serde_json::json;

use crate::KINDS;
use crate::case::{Case, Kind, Verdict};
use crate::random::Random;

/// In front of each report.
pub const MARK: &str = "@@fuzz ";
/// Far from the order of [`KINDS`], so that few inputs are of all kinds too.
const STRIDE: usize = 37;

/// Where a panic happened and what it said, also of one that the program caught itself.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What inputs of one process share.
#[derive(Default)]
pub struct Shared {
    /// Files that are made once.
    pub folder: PathBuf,
    pub sites: OnceCell<Vec<Site>>,
    pub subject_driven: SubjectDriven,
    pub semantic_map: SemanticMap,
    pub glue: Glue,
    pub instruct: Instruct,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

fn kind(index: u64) -> &'static Kind {
    let round: usize = KINDS.iter().map(|kind| kind.share).sum();
    let mut slot = (index as usize).wrapping_mul(STRIDE) % round;
    for kind in KINDS {
        if slot < kind.share {
            return kind;
        }
        slot -= kind.share;
    }
    unreachable!("a slot is of some kind")
}

pub fn work() {
    let text = std::env::var("FUZZ_WORKER").expect("the watch says what to do");
    let numbers: Vec<u64> =
        text.split(' ').map(|number| number.parse().expect("the watch writes numbers")).collect();
    let &[seed, first, end, step] = numbers.as_slice() else { panic!("{text}") };
    let folder = PathBuf::from(std::env::var_os("FUZZ_FOLDER").expect("the watch names a folder"));
    // Experiments name models and data relative to the repository.
    std::env::set_current_dir(root()).expect("the repository is there");
    std::panic::set_hook(Box::new(|panic| PANICS.lock().expect("no panic within").push(told(panic))));
    let own = folder.join(format!("shared-{}", std::process::id()));
    fs::create_dir_all(&own).expect("temporary files can be written");
    let mut shared = Shared { folder: own.clone(), ..Shared::default() };
    for index in (first..end).step_by(step as usize) {
        let panicked = attempt(seed, index, &folder.join(index.to_string()), &mut shared);
        if panicked {
            // What the panic left behind, such as gradients that are off, is not the next input's fault.
            break;
        }
    }
    let _ = fs::remove_dir_all(own);
}

/// The place of a panic and the first line of its message.
fn told(panic: &PanicHookInfo) -> String {
    let payload = panic.payload();
    let text =
        payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    let line = text.unwrap_or_default().lines().next().unwrap_or_default();
    let place = panic.location().map_or(String::new(), |at| format!("{}:{}", at.file(), at.line()));
    format!("panicked at {place}: {line}")
}

/// Tries an input and reports; whether there was a panic.
fn attempt(seed: u64, index: u64, folder: &Path, shared: &mut Shared) -> bool {
    let kind = kind(index);
    println!("\n{MARK}{}", json!({"begin": kind.name, "index": index}));
    fs::create_dir_all(folder).expect("temporary files can be written");
    let random = Random::of(seed, index);
    let mut case = Case { random, folder: folder.to_owned(), what: Vec::new(), blamed: Vec::new() };
    let begun = Instant::now();
    let verdict = catch_unwind(AssertUnwindSafe(|| (kind.attempt)(&mut case, shared)));
    let panics = std::mem::take(&mut *PANICS.lock().expect("no panic within"));
    let (became, group, message) = match (panics.first(), verdict) {
        (Some(panic), _) => ("faulty", panic.chars().take(70).collect(), panic.clone()),
        (None, Err(_)) => ("faulty", "a panic".to_owned(), "a panic without a message".to_owned()),
        (None, Ok(Verdict::Taken)) => ("taken", String::new(), String::new()),
        (None, Ok(Verdict::Wrong(message))) => ("faulty", shape(&message, &case), message),
        (None, Ok(Verdict::Refused(message))) => {
            if case.blamed.iter().any(|name| message.contains(name.as_str())) {
                ("refused", String::new(), String::new())
            } else {
                let told = format!("names none of {:?}: {message}", case.blamed);
                ("faulty", format!("unnamed {}", shape(&message, &case)), told)
            }
        }
    };
    let what = case.what.join("; ");
    let report = json!({"index": index, "kind": kind.name, "became": became, "group": group, "message": message,
        "what": what, "seconds": begun.elapsed().as_secs_f64()});
    println!("\n{MARK}{report}");
    if became != "faulty" {
        fs::remove_dir_all(folder).expect("temporary files can be removed");
    }
    !panics.is_empty()
}

/// The words of a message without its numbers, names and paths.
fn shape(message: &str, case: &Case) -> String {
    let folder = case.folder.display().to_string();
    let plain = message.replace(&folder, "");
    let words =
        plain.split_whitespace().filter(|word| word.chars().all(|letter| letter.is_ascii_lowercase()));
    words.take(8).collect::<Vec<_>>().join(" ")
}
