//! Progress of downloads: bars on a terminal, one for each file that arrives and one for all; else plain lines.

use std::cell::Cell;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, MultiProgress, ProgressBar, ProgressStyle};

/// Time between two plain lines about a file.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where progress and notices go.
pub struct Progress {
    style: Style,
}

enum Style {
    Bars(MultiProgress),
    Lines(Box<dyn Fn(&str) + Send + Sync>),
}

/// Progress of several files that arrive at once.
pub(crate) struct AllProgress<'a> {
    progress: &'a Progress,
    num_files: usize,
    num_done: AtomicUsize,
    /// Bytes of all files, as far as the hub states sizes.
    size: u64,
    have: AtomicU64,
    bar: Option<ProgressBar>,
}

/// Progress of one file.
pub(crate) struct FileProgress<'a> {
    all: &'a AllProgress<'a>,
    name: String,
    size: u64,
    have: Cell<u64>,
    last_line: Cell<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Bars on stderr if it is a terminal, else lines there.
    pub fn on_stderr() -> Progress {
        if std::io::stderr().is_terminal() {
            Progress { style: Style::Bars(MultiProgress::new()) }
        } else {
            Progress::lines(|line| terminal::notice(line))
        }
    }

    /// Lines, for `print` to print.
    pub fn lines(print: impl Fn(&str) + Send + Sync + 'static) -> Progress {
        Progress { style: Style::Lines(Box::new(print)) }
    }

    /// A line that stays.
    pub(crate) fn notice(&self, text: &str) {
        match &self.style {
            // Bars that are not drawn yet swallow lines.
            Style::Bars(bars) => bars.suspend(|| terminal::notice(text)),
            Style::Lines(print) => print(text),
        }
    }

    /// Begins `num_files` files of `size` bytes together.
    pub(crate) fn begin(&self, num_files: usize, size: u64) -> AllProgress<'_> {
        let bar =
            self.bar(size, "{decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} eta {eta} {msg}");
        if let Some(bar) = bar.as_ref().filter(|_| num_files > 0) {
            bar.set_message(format!("0 of {num_files} files"));
        }
        AllProgress {
            progress: self,
            num_files,
            num_done: AtomicUsize::new(0),
            size,
            have: AtomicU64::new(0),
            bar,
        }
    }

    /// A bar below the others.
    fn bar(&self, size: u64, template: &str) -> Option<ProgressBar> {
        let Style::Bars(bars) = &self.style else { return None };
        let style = ProgressStyle::with_template(&format!("{{bar:30}} {template}"));
        Some(bars.add(ProgressBar::new(size).with_style(style.expect("the template is fixed"))))
    }
}

impl AllProgress<'_> {
    pub fn notice(&self, text: &str) {
        self.progress.notice(text);
    }

    pub fn progress(&self) -> &Progress {
        self.progress
    }

    /// Begins a file of `size` bytes, of which `have` are there.
    pub fn file(&self, name: &str, size: u64, have: u64) -> FileProgress<'_> {
        let going_on = if have > 0 { format!(", going on at {}", DecimalBytes(have)) } else { String::new() };
        let bar = self.progress.bar(size, "{decimal_bytes}/{decimal_total_bytes} {msg}");
        match (&bar, &self.progress.style) {
            (Some(bar), _) => bar.set_message(name.to_string()),
            (None, Style::Lines(print)) => print(&format!("{name}: {}{going_on}", DecimalBytes(size))),
            (None, Style::Bars(_)) => {}
        }
        let name = name.to_string();
        let file = FileProgress {
            all: self,
            name,
            size,
            have: Cell::new(0),
            last_line: Cell::new(Instant::now()),
            bar,
        };
        file.at(have);
        file
    }

    /// One file more is there.
    pub fn file_done(&self) {
        let done = self.num_done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{done} of {} files", self.num_files));
        }
    }
}

impl FileProgress<'_> {
    /// `have` bytes of the file are there; fewer than before when it is received anew.
    pub fn at(&self, have: u64) {
        let before = self.have.replace(have);
        let more = have.wrapping_sub(before);
        let all_have = self.all.have.fetch_add(more, Ordering::Relaxed).wrapping_add(more);
        if let (Some(bar), Some(all)) = (&self.bar, &self.all.bar) {
            bar.set_position(have);
            all.set_position(all_have);
        } else if let Style::Lines(print) = &self.all.progress.style
            && self.last_line.get().elapsed() >= LINE_EVERY
        {
            self.last_line.set(Instant::now());
            let (of_all, size) = (DecimalBytes(all_have), DecimalBytes(self.all.size));
            let all = format!("{of_all} of {size} in all");
            print(&format!("{}: {} of {}; {all}", self.name, DecimalBytes(have), DecimalBytes(self.size)));
        }
    }
}

impl Drop for FileProgress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for AllProgress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
