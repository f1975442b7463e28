//! Progress on stderr: bars on a terminal, else a line every few seconds.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::workload::{Progress, Status};

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Reporter {
    style: Style,
    state: Mutex<State>,
}

enum Style {
    Quiet,
    Lines,
    Bars { all: MultiProgress, trials: ProgressBar },
}

struct State {
    started: Instant,
    last_line: Option<Instant>,
    total: usize,
    finished: usize,
    failed: usize,
    /// Banks under way, by a number of their own.
    banks: BTreeMap<usize, Running>,
    begun: usize,
}

/// A bank whose share of steps counts for the ETA of its open trials.
struct Running {
    open: usize,
    share: f64,
}

/// One bank's part of the progress, from its begin until it is dropped.
pub(crate) struct BankProgress<'a> {
    reporter: &'a Reporter,
    number: usize,
    name: String,
    bar: Option<ProgressBar>,
    moved: AtomicBool,
}

impl Reporter {
    /// For a run of `total` open trials.
    pub fn new(total: usize, quiet: bool) -> Reporter {
        let style = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Style::Quiet,
            (false, false) => Style::Lines,
            (false, true) => bars(total),
        };
        let state = State {
            started: Instant::now(),
            last_line: None,
            total,
            finished: 0,
            failed: 0,
            banks: BTreeMap::new(),
            begun: 0,
        };
        Reporter { style, state: Mutex::new(state) }
    }

    /// Prints a line that stays, whatever bars are drawn; notices are shown even when quiet.
    pub fn notice(&self, text: &str) {
        match &self.style {
            Style::Bars { all, .. } if all.println(text).is_ok() => {}
            _ => terminal::notice(text),
        }
    }

    pub fn begin_bank(&self, name: &str, open: usize) -> BankProgress<'_> {
        let mut state = self.state();
        state.begun += 1;
        let number = state.begun;
        state.banks.insert(number, Running { open, share: 0.0 });
        let bar = match &self.style {
            Style::Bars { all, .. } => {
                let bar = all.add(ProgressBar::new(0));
                bar.set_style(style("{prefix:18} {bar:30} {pos}/{len} {per_sec} {msg}"));
                bar.set_prefix(name.to_string());
                Some(bar)
            }
            _ => None,
        };
        BankProgress { reporter: self, number, name: name.to_string(), bar, moved: AtomicBool::new(false) }
    }

    pub fn end(&self) {
        if let Style::Bars { all, .. } = &self.style {
            // Only the picture on the terminal is at stake.
            let _ = all.clear();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl BankProgress<'_> {
    /// Whether the bank has reported any progress.
    pub fn has_moved(&self) -> bool {
        self.moved.load(Ordering::SeqCst)
    }

    pub fn notice(&self, text: &str) {
        self.reporter.notice(&format!("{}: {text}", self.name));
    }

    pub fn finish_trial(&self, status: &Status) {
        let mut state = self.reporter.state();
        state.finished += 1;
        state.failed += usize::from(matches!(status, Status::Failed { .. }));
        if let Some(bank) = state.banks.get_mut(&self.number) {
            bank.open = bank.open.saturating_sub(1);
        }
        if let Style::Bars { trials, .. } = &self.reporter.style {
            trials.set_position(state.finished as u64);
            trials.set_message(state.tail());
        }
    }
}

impl Drop for BankProgress<'_> {
    fn drop(&mut self) {
        if let Ok(mut state) = self.reporter.state.lock() {
            state.banks.remove(&self.number);
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress for BankProgress<'_> {
    fn step(&self, done: u64, total: u64, note: &str) {
        self.moved.store(true, Ordering::SeqCst);
        let mut state = self.reporter.state();
        if let Some(bank) = state.banks.get_mut(&self.number) {
            bank.share = if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) };
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(note.to_string());
        }
        match &self.reporter.style {
            Style::Quiet => {}
            Style::Bars { trials, .. } => trials.set_message(state.tail()),
            Style::Lines => {
                let now = Instant::now();
                if state.last_line.is_none_or(|last| now - last >= LINE_EVERY) {
                    state.last_line = Some(now);
                    let State { finished, total: trials, .. } = &*state;
                    let (bank, tail) = (&self.name, state.tail());
                    terminal::notice(format_args!(
                        "{bank}: step {done}/{total} {note}; trials {finished}/{trials}{tail}"
                    ));
                }
            }
        }
    }
}

impl State {
    /// Failures so far and time to go, as in ", 1 failed, eta 3m20s".
    fn tail(&self) -> String {
        let mut tail = String::new();
        if self.failed > 0 {
            tail += &format!(", {} failed", self.failed);
        }
        let under_way: f64 = self.banks.values().map(|bank| bank.open as f64 * bank.share).sum();
        let done = self.finished as f64 + under_way;
        if let Some(left) = time_left(self.started.elapsed(), done, self.total as f64) {
            tail += &format!(", eta {}", duration_text(left));
        }
        tail
    }
}

/// Time to go when `done` of `total` took `elapsed`; unknown before anything is done.
fn time_left(elapsed: Duration, done: f64, total: f64) -> Option<Duration> {
    (done > 0.0).then(|| elapsed.mul_f64(((total - done) / done).max(0.0)))
}

/// A duration in short, such as 45s, 3m20s or 2h05m.
pub fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

fn bars(total: usize) -> Style {
    let all = MultiProgress::new();
    let trials = all.add(ProgressBar::new(total as u64));
    trials.set_style(style("{prefix:18} {bar:30} {pos}/{len}{msg}"));
    trials.set_prefix("trials");
    Style::Bars { all, trials }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_share_done() {
        assert_eq!(time_left(Duration::from_secs(10), 0.0, 4.0), None);
        assert_eq!(time_left(Duration::from_secs(10), 1.0, 4.0), Some(Duration::from_secs(30)));
        assert_eq!(time_left(Duration::from_secs(10), 5.0, 4.0), Some(Duration::ZERO));
    }

    #[test]
    fn durations_read_easily() {
        let texts = [59, 200, 7_500].map(|seconds| duration_text(Duration::from_secs(seconds)));
        assert_eq!(texts, ["59s", "3m20s", "2h05m"]);
    }

    #[test]
    fn a_bank_under_way_counts_for_the_time_left() {
        let reporter = Reporter::new(4, true);
        let tail = || reporter.state().tail();
        let first = reporter.begin_bank("bank 1/2", 2);
        assert_eq!(tail(), "");
        first.step(1, 2, "");
        assert_eq!(tail(), ", eta 0s");
        let second = reporter.begin_bank("bank 2/2", 2);
        second.step(1, 4, "");
        let under_way =
            |state: &State| state.banks.values().map(|bank| bank.open as f64 * bank.share).sum::<f64>();
        assert_eq!(under_way(&reporter.state()), 1.5);
        first.finish_trial(&Status::Failed { message: String::new() });
        assert_eq!(tail(), ", 1 failed, eta 0s");
        drop(first);
        assert_eq!(under_way(&reporter.state()), 0.5);
    }
}
