//! Text broken into lines that fit a width.

use crate::canvas::{Align, Canvas, text_width};
use crate::style::{MUTED, NOTE_SIZE};

const NOTE_SPACING: f64 = 20.0;
const NOTE_MARGIN: f64 = 16.0;
const MOST_NOTE_LINES: usize = 8;

/// Lines no wider than `width`, at most `most`; what does not fit ends in an ellipsis.
pub fn wrapped(text: &str, width: f64, size: f64, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = shortened(word, width, size);
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = shortened(&format!("{last} …"), width, size);
        }
    }
    lines
}

fn shortened(text: &str, width: f64, size: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut kept: String = text.trim_end_matches(" …").to_owned();
    while !kept.is_empty() && text_width(&format!("{kept}…"), size) > width {
        kept.pop();
    }
    format!("{}…", kept.trim_end())
}

/// What a figure says below its panels, in lines.
pub struct Notes(Vec<String>);

impl Notes {
    /// For a figure of this width.
    pub fn new(text: &str, figure_width: f64) -> Self {
        Self(wrapped(text, figure_width - 2.0 * NOTE_MARGIN, NOTE_SIZE, MOST_NOTE_LINES))
    }

    pub fn height(&self) -> f64 {
        self.0.len() as f64 * NOTE_SPACING + 4.0
    }

    /// At the lower edge of the canvas.
    pub fn draw(&self, canvas: &mut Canvas) {
        let first = canvas.height - self.height() + NOTE_SPACING / 2.0;
        for (index, line) in self.0.iter().enumerate() {
            let at = (NOTE_MARGIN, first + index as f64 * NOTE_SPACING);
            canvas.text(line, at, NOTE_SIZE, MUTED, Align::Left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_wrapped_and_cut_inside_its_width() {
        let (size, most) = (13.0, 5);
        let lines = wrapped("a sks dog in the jungle", 96.0, size, most);
        assert_eq!(lines.join(" "), "a sks dog in the jungle");
        let long = "word ".repeat(80) + &"x".repeat(99);
        let cut = wrapped(&long, 96.0, size, most);
        assert_eq!(cut.len(), most);
        assert!(cut.last().unwrap().ends_with('…'));
        let one = wrapped(&"x".repeat(99), 96.0, size, most);
        assert!(cut.iter().chain(&one).all(|line| text_width(line, size) <= 96.0));
    }
}
