//! Progress of downloads: a bar on a terminal, else plain lines.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};

/// Time between two plain lines about a file.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where progress and notices go.
pub struct Progress {
    style: Style,
}

enum Style {
    Bar(ProgressBar),
    Lines(Box<dyn Fn(&str) + Send>),
}

/// Progress of one file.
pub(crate) struct FileProgress<'a> {
    all: &'a Progress,
    name: String,
    size: u64,
    last_line: Cell<Instant>,
}

impl Progress {
    /// A bar on stderr if it is a terminal, else lines there.
    pub fn on_stderr() -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress::lines(|line| eprintln!("{line}"));
        }
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template(
            "{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} eta {eta} {msg}",
        );
        bar.set_style(style.expect("the template is fixed"));
        Progress { style: Style::Bar(bar) }
    }

    /// Lines, for `print` to print.
    pub fn lines(print: impl Fn(&str) + Send + 'static) -> Progress {
        Progress { style: Style::Lines(Box::new(print)) }
    }

    /// A line that stays.
    pub(crate) fn notice(&self, text: &str) {
        match &self.style {
            // A bar that is not drawn yet swallows lines.
            Style::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
            Style::Lines(print) => print(text),
        }
    }

    /// Begins a file of `size` bytes, of which `have` are there.
    pub(crate) fn file(&self, name: &str, size: u64, have: u64) -> FileProgress<'_> {
        let going_on = if have > 0 { format!(", going on at {}", DecimalBytes(have)) } else { String::new() };
        match &self.style {
            Style::Bar(bar) => {
                // Of the last file nothing may be seen beside this one's name.
                bar.set_message(name.to_string());
                bar.set_length(size);
                bar.reset();
                bar.set_position(have);
                bar.reset_eta();
            }
            Style::Lines(print) => print(&format!("{name}: {}{going_on}", DecimalBytes(size))),
        }
        FileProgress { all: self, name: name.to_string(), size, last_line: Cell::new(Instant::now()) }
    }
}

impl FileProgress<'_> {
    /// `have` bytes of the file are there.
    pub fn at(&self, have: u64) {
        match &self.all.style {
            Style::Bar(bar) => bar.set_position(have),
            Style::Lines(print) => {
                if self.last_line.get().elapsed() >= LINE_EVERY {
                    self.last_line.set(Instant::now());
                    print(&format!("{}: {} of {}", self.name, DecimalBytes(have), DecimalBytes(self.size)));
                }
            }
        }
    }
}

impl Drop for FileProgress<'_> {
    fn drop(&mut self) {
        if let Style::Bar(bar) = &self.all.style {
            bar.finish_and_clear();
        }
    }
}
