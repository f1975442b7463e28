//! Text to HTML: escaping, tables, the Markdown that this project's tables are written in, and data URIs.

use std::fmt::Write;

/// Text as it may stand between tags and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A name that may be an element's id and a fragment of an address.
pub fn slug(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

/// A table whose cells are HTML already.
#[derive(Default)]
pub struct Table {
    pub caption: String,
    pub header: Vec<String>,
    pub rows: Vec<Row>,
    /// Of the `table` element, as in `class="sortable"`.
    pub attributes: String,
}

#[derive(Default)]
pub struct Row {
    pub cells: Vec<String>,
    /// Of the `tr` element.
    pub attributes: String,
}

impl Row {
    pub fn of(cells: Vec<String>) -> Self {
        Self { cells, attributes: String::new() }
    }
}

impl Table {
    /// In a frame that scrolls sideways where the page is narrower. The first cell of a row heads it.
    pub fn html(&self) -> String {
        let attribute = |text: &str| if text.is_empty() { String::new() } else { format!(" {text}") };
        let mut html = format!("<div class=\"wide\" tabindex=\"0\"><table{}>", attribute(&self.attributes));
        if !self.caption.is_empty() {
            let _ = write!(html, "<caption>{}</caption>", self.caption);
        }
        html.push_str("\n<thead><tr>");
        for (index, cell) in self.header.iter().enumerate() {
            let below = self.rows.iter().filter_map(|row| row.cells.get(index)).find(|cell| !cell.is_empty());
            let class = if below.is_some_and(|cell| is_number(cell)) { " class=\"n\"" } else { "" };
            let _ = write!(html, "<th scope=\"col\"{class}>{cell}</th>");
        }
        html.push_str("</tr></thead>\n<tbody>");
        for row in &self.rows {
            let _ = write!(html, "\n<tr{}>", attribute(&row.attributes));
            for (index, cell) in row.cells.iter().enumerate() {
                let class = if is_number(cell) { " class=\"n\"" } else { "" };
                let _ = match index {
                    0 => write!(html, "<th scope=\"row\"{class}>{cell}</th>"),
                    _ => write!(html, "<td{class}>{cell}</td>"),
                };
            }
            html.push_str("</tr>");
        }
        html.push_str("\n</tbody></table></div>\n");
        html
    }
}

/// Whether a cell is to be aligned as a number.
fn is_number(cell: &str) -> bool {
    let text = cell.split('<').next().unwrap_or("").trim_start_matches(['−', '+', '-', '≥', '≤', ' ', '±']);
    text.starts_with(|letter: char| letter.is_ascii_digit()) && text.len() < 40
}

/// A piece of Markdown, as far as this project writes it: tables, headings, lists and paragraphs.
#[derive(Debug, PartialEq)]
pub enum Block {
    Table { header: Vec<String>, rows: Vec<Vec<String>> },
    Heading(String),
    List(Vec<String>),
    Paragraph(String),
}

pub fn markdown(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let run = |kind: fn(&str) -> bool| lines[at..].iter().take_while(|line| kind(line)).count();
        let (used, block) = match lines[at] {
            "" => (1, None),
            line if line.starts_with('#') => {
                (1, Some(Block::Heading(line.trim_start_matches('#').trim().to_owned())))
            }
            line if line.starts_with('|') => {
                let used = run(|line| line.starts_with('|'));
                (used, Some(table(&lines[at..at + used])))
            }
            line if line.starts_with("- ") => {
                let used = run(|line| line.starts_with("- "));
                let items = lines[at..at + used].iter().map(|line| line[2..].to_owned());
                (used, Some(Block::List(items.collect())))
            }
            _ => {
                let used = run(|line| !line.is_empty() && !line.starts_with(['|', '#']));
                (used, Some(Block::Paragraph(lines[at..at + used].join(" "))))
            }
        };
        blocks.extend(block);
        at += used;
    }
    blocks
}

fn table(lines: &[&str]) -> Block {
    let mut rows: Vec<Vec<String>> = lines.iter().map(|line| cells(line)).collect();
    let header = rows.remove(0);
    let is_rule =
        |row: &Vec<String>| row.iter().all(|cell| cell.chars().all(|letter| "-: ".contains(letter)));
    if rows.first().is_some_and(is_rule) {
        rows.remove(0);
    }
    Block::Table { header, rows }
}

/// The cells of `| a | b |`; `\|` is a bar inside a cell.
fn cells(line: &str) -> Vec<String> {
    let inner = line.strip_prefix('|').unwrap_or(line);
    let mut cells = vec![String::new()];
    let mut letters = inner.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&'|') => {
                letters.next();
                cells.last_mut().expect("starts with one cell").push('|');
            }
            '|' => cells.push(String::new()),
            other => cells.last_mut().expect("starts with one cell").push(other),
        }
    }
    if line.ends_with('|') && !line.ends_with("\\|") {
        cells.pop();
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// Escaped text with `code` between backticks, and `\*` for a star.
pub fn inline(text: &str) -> String {
    let escaped = escape(&text.replace("\\*", "*"));
    let pieces = escaped.split('`').enumerate();
    let closed = escaped.matches('`').count().is_multiple_of(2);
    if !closed {
        return escaped;
    }
    pieces
        .map(|(index, piece)| if index % 2 == 1 { format!("<code>{piece}</code>") } else { piece.to_owned() })
        .collect()
}

/// `data:<kind>;base64,…`, a file's bytes as an address.
pub fn data_uri(kind: &str, bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("data:{kind};base64,");
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * index) & 63) as usize];
            text.push(if index > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_uris_are_padded_base64() {
        let text = |bytes: &[u8]| data_uri("a/b", bytes);
        let known = ["Zg==", "Zm8=", "Zm9v", "Zm9vYg=="];
        let found = [text(b"f"), text(b"fo"), text(b"foo"), text(b"foob")];
        assert_eq!(found, known.map(|base64| format!("data:a/b;base64,{base64}")));
    }

    #[test]
    fn markdown_is_split_into_blocks_and_a_bar_may_stand_in_a_cell() {
        let text = "# Title\n\n- one\n- two\n\n| a | b |\n| --- | --- |\n| \\|x\\| |  |\n\nSome\ntext.\n";
        let row = vec!["|x|".to_owned(), String::new()];
        let expected = [
            Block::Heading("Title".to_owned()),
            Block::List(vec!["one".to_owned(), "two".to_owned()]),
            Block::Table { header: vec!["a".to_owned(), "b".to_owned()], rows: vec![row] },
            Block::Paragraph("Some text.".to_owned()),
        ];
        assert_eq!(markdown(text), expected);
    }

    #[test]
    fn nothing_of_a_text_becomes_markup() {
        assert_eq!(escape("<b a='\"'>&"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
        assert_eq!(inline("`a<b` \\* c"), "<code>a&lt;b</code> * c");
        assert_eq!(inline("one ` alone"), "one ` alone");
        assert_eq!(slug("a b/c"), "a-b-c");
    }

    #[test]
    fn numbers_are_marked_and_the_first_cell_heads_its_row() {
        let table = Table {
            caption: "What".to_owned(),
            header: vec!["a".to_owned(), "b".to_owned()],
            rows: vec![Row::of(vec!["LoRA".to_owned(), "−0.1 ± 0.2".to_owned()])],
            attributes: String::new(),
        };
        let html = table.html();
        assert!(
            html.contains("<caption>What</caption>") && html.contains("<th scope=\"col\" class=\"n\">b</th>"),
            "{html}"
        );
        assert!(html.contains("<th scope=\"row\">LoRA</th><td class=\"n\">−0.1 ± 0.2</td>"), "{html}");
    }
}
