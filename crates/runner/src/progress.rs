//! Progress on stderr: bars on a terminal, else a line every few seconds.

use std::io::IsTerminal;
use std::sync::Mutex;
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
    Bars { all: MultiProgress, trials: ProgressBar, bank: ProgressBar },
}

struct State {
    started: Instant,
    last_line: Option<Instant>,
    total: usize,
    finished: usize,
    failed: usize,
    bank: String,
    /// Trials of the current bank whose share of its steps counts for the ETA, and that share.
    bank_open: usize,
    bank_share: f64,
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
            bank: String::new(),
            bank_open: 0,
            bank_share: 0.0,
        };
        Reporter { style, state: Mutex::new(state) }
    }

    /// Prints a line that stays, whatever bars are drawn; notices are shown even when quiet.
    pub fn notice(&self, text: &str) {
        match &self.style {
            Style::Bars { all, .. } if all.println(text).is_ok() => {}
            _ => eprintln!("{text}"),
        }
    }

    pub fn begin_bank(&self, name: &str, open: usize) {
        let mut state = self.state.lock().expect("no holder panics");
        state.bank = name.to_string();
        state.bank_open = open;
        state.bank_share = 0.0;
        if let Style::Bars { bank, .. } = &self.style {
            bank.reset();
            bank.set_prefix(name.to_string());
        }
    }

    pub fn finish_trial(&self, status: &Status) {
        let mut state = self.state.lock().expect("no holder panics");
        state.finished += 1;
        state.bank_open = state.bank_open.saturating_sub(1);
        state.failed += usize::from(matches!(status, Status::Failed { .. }));
        if let Style::Bars { trials, .. } = &self.style {
            trials.set_position(state.finished as u64);
            trials.set_message(state.tail());
        }
    }

    pub fn end(&self) {
        if let Style::Bars { all, .. } = &self.style {
            // Only the picture on the terminal is at stake.
            let _ = all.clear();
        }
    }
}

impl Progress for Reporter {
    fn step(&self, done: u64, total: u64, note: &str) {
        let mut state = self.state.lock().expect("no holder panics");
        state.bank_share = if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) };
        match &self.style {
            Style::Quiet => {}
            Style::Bars { bank, trials, .. } => {
                bank.set_length(total);
                bank.set_position(done);
                bank.set_message(note.to_string());
                trials.set_message(state.tail());
            }
            Style::Lines => {
                let now = Instant::now();
                if state.last_line.is_none_or(|last| now - last >= LINE_EVERY) {
                    state.last_line = Some(now);
                    let State { bank, finished, total: trials, .. } = &*state;
                    let tail = state.tail();
                    eprintln!("{bank}: step {done}/{total} {note}; trials {finished}/{trials}{tail}");
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
        let done = self.finished as f64 + self.bank_open as f64 * self.bank_share;
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

/// As in 45s, 3m20s, 2h05m.
pub(crate) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

fn bars(total: usize) -> Style {
    let style = |template| ProgressStyle::with_template(template).expect("the template is a constant");
    let all = MultiProgress::new();
    let trials = all.add(ProgressBar::new(total as u64));
    trials.set_style(style("{prefix:18} {bar:30} {pos}/{len}{msg}"));
    trials.set_prefix("trials");
    let bank = all.add(ProgressBar::new(0));
    bank.set_style(style("{prefix:18} {bar:30} {pos}/{len} {per_sec} {msg}"));
    Style::Bars { all, trials, bank }
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
        reporter.begin_bank("bank 1/2", 2);
        assert_eq!(reporter.state.lock().unwrap().tail(), "");
        reporter.step(1, 2, "");
        assert_eq!(reporter.state.lock().unwrap().tail(), ", eta 0s");
        reporter.finish_trial(&Status::Failed { message: String::new() });
        assert_eq!(reporter.state.lock().unwrap().tail(), ", 1 failed, eta 0s");
    }
}
