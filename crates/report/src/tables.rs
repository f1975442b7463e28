//! The tables of `plots/`, from Markdown to HTML, with what differs marked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use decide::PAPER_SCALE;
use results::{Frame, metric_title, stats};

use crate::error::Result;
use crate::html::{Block, Row, Table, escape, inline, markdown};

/// Ends the header of a column with the paper's numbers, or begins the end of a row's title.
const PAPER: &str = " (paper)";
const PAPER_ROWS: [&str; 2] = [PAPER, " (paper, camera-ready)"];
/// A CSV that has no Markdown beside it is shown up to this length.
const MOST_ROWS: usize = 400;

/// Marks by method title and metric title: ▲ above the baseline, ▼ below it.
type Marks = BTreeMap<(String, String), char>;

/// Every table in a folder of plots; at other scales than the paper's its numbers are said to be of another model.
pub fn html(plots: &Path, scale: &str) -> Result<String> {
    let marks = marks(&plots.join("pairs.csv"))?;
    let mut html = String::new();
    for path in files(plots, "md") {
        let name = stem(&path);
        let text = results::read(&path, "draw it again with `delora plots`")?;
        for block in markdown(&text) {
            html += &match block {
                Block::Table { header, rows } => of_markdown(&name, &header, &rows, &marks, scale),
                Block::Heading(text) => format!("<h4>{}</h4>\n", inline(&text)),
                Block::Paragraph(text) => format!("<p class=\"note\">{}</p>\n", inline(&text)),
                Block::List(items) => list(&items),
            };
        }
    }
    for path in files(plots, "csv") {
        if !path.with_extension("md").exists() {
            html += &of_csv(&path)?;
        }
    }
    Ok(html)
}

/// Files of a kind in a folder, by name; none where the folder is not there.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let hidden =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|found| found == extension) && !hidden(path))
        .collect();
    files.sort();
    files
}

pub fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

pub fn list(items: &[String]) -> String {
    let items: String = items.iter().map(|item| format!("<li>{}</li>", inline(item))).collect();
    format!("<ul>{items}</ul>\n")
}

fn marks(path: &Path) -> Result<Marks> {
    let mut marks = Marks::new();
    if !path.exists() {
        return Ok(marks);
    }
    let frame = Frame::read_drawn(path)?;
    for row in 0..frame.len() {
        let (Some(low), Some(high)) = (frame.number(row, "lo"), frame.number(row, "hi")) else { continue };
        let by_chance = frame.number(row, "p").is_some_and(|p| p > stats::LEVEL);
        let mark = match (low > 0.0, high < 0.0) {
            _ if by_chance => continue,
            (true, _) => '▲',
            (_, true) => '▼',
            _ => continue,
        };
        let metric = frame.text(row, "metric");
        marks.insert((frame.text(row, "title").to_owned(), metric_title(metric).to_owned()), mark);
    }
    Ok(marks)
}

fn of_markdown<'a>(
    name: &str,
    header: &[String],
    rows: &'a [Vec<String>],
    marks: &Marks,
    scale: &str,
) -> String {
    let is_papers =
        |row: &[String]| row.first().is_some_and(|cell| PAPER_ROWS.iter().any(|end| cell.ends_with(end)));
    let has_paper =
        header.iter().any(|title| title.ends_with(PAPER)) || rows.iter().any(|row| is_papers(row));
    let mut marked = false;
    let mut ours: &[String] = &[];
    let cells = |row: &'a Vec<String>| -> Row {
        let mut cells: Vec<String> = row.iter().map(|cell| inline(cell)).collect();
        for (cell, title) in cells.iter_mut().zip(header) {
            if let Some(mark) = row.first().and_then(|method| marks.get(&(method.clone(), title.clone()))) {
                let (class, said) = if *mark == '▲' { ("up", "above") } else { ("down", "below") };
                *cell += &format!(" <span class=\"{class}\" title=\"{said} the baseline\">{mark}</span>");
                marked = true;
            }
            if cell == "not distinguishable" {
                *cell = format!("<span class=\"undecided\">{cell}</span>");
            }
        }
        if scale == PAPER_SCALE {
            add_differences(&mut cells, row, header);
        }
        if !is_papers(row) {
            ours = row;
            return Row::of(cells);
        }
        if scale == PAPER_SCALE {
            for (cell, (ours, paper)) in cells.iter_mut().zip(ours.iter().zip(row)) {
                *cell += &difference(ours, paper);
            }
        }
        Row { cells, attributes: "class=\"paper\"".to_owned() }
    };
    let rows: Vec<Row> = rows.iter().map(cells).collect();
    let comparable = match (has_paper, scale) {
        (false, _) => "",
        (true, PAPER_SCALE) => ". In brackets: ours less the paper's",
        (true, _) => {
            ". The paper's numbers are of another model and other data: not to be compared with ours"
        }
    };
    let table = Table {
        caption: format!("<b>{}</b>{comparable}", escape(&caption(name))),
        header: header.iter().map(|title| inline(title)).collect(),
        rows,
        attributes: String::new(),
    };
    let legend = "<p class=\"note\">▲ and ▼: above and below the baseline of the paired differences; no mark: \
        not distinguishable from it at this n, or not compared.</p>\n";
    table.html() + if marked { legend } else { "" }
}

/// Ours less the paper's, behind the paper's number.
fn add_differences(cells: &mut [String], row: &[String], header: &[String]) {
    for (index, title) in header.iter().enumerate() {
        let Some(ours) = title.strip_suffix(PAPER) else { continue };
        let Some(place) = header.iter().position(|title| title == ours) else { continue };
        cells[index] += &difference(&row[place], &row[index]);
    }
}

/// " (+0.012)": the number that a cell of ours begins with, less the paper's, to as many decimals.
fn difference(ours: &str, paper: &str) -> String {
    let first = |cell: &str| cell.split(' ').next().unwrap_or_default().replace('−', "-");
    let (ours, paper) = (first(ours), first(paper));
    let decimals = paper.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    match (ours.parse::<f64>(), paper.parse::<f64>()) {
        (Ok(ours), Ok(paper)) => format!(" ({:+.decimals$})", ours - paper).replace('-', "−"),
        _ => String::new(),
    }
}

/// Three decimals, or three digits where those would hide the number.
pub fn rounded(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        0.0 => "0".to_owned(),
        _ if size < 1e-3 => format!("{value:.2e}"),
        _ if size >= 1e6 => format!("{value:.3e}"),
        _ if value.fract() == 0.0 => format!("{value}"),
        _ if size >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    };
    text.replace('-', "−")
}

/// What a file of `plots/` shows, by its name.
pub fn caption(name: &str) -> String {
    let (base, metric) = name.split_once('-').unwrap_or((name, ""));
    let title = metric_title(metric);
    // A table of the paper that has no figure here still has its number.
    let number = || base.strip_prefix("table").filter(|rest| rest.parse::<u32>().is_ok());
    let of_number = || number().map(|number| format!("Table {number}, ours beside the paper's"));
    let known = figures::caption(base).map(str::to_owned).or_else(of_number);
    let said = known.unwrap_or_else(|| base.to_owned());
    if title.is_empty() { said } else { format!("{said}: {title}") }
}

fn of_csv(path: &Path) -> Result<String> {
    let frame = Frame::read_drawn(path)?;
    let said = escape(&caption(&stem(path)));
    if frame.len() > MOST_ROWS {
        let (count, path) = (frame.len(), escape(&path.display().to_string()));
        return Ok(format!("<p class=\"note\">{said}: {count} rows in <code>{path}</code>.</p>\n"));
    }
    let cell = |row: usize, name: &String| match frame.number(row, name) {
        Some(number) => rounded(number),
        None => escape(frame.text(row, name)),
    };
    let rows =
        (0..frame.len()).map(|row| Row::of(frame.names().iter().map(|name| cell(row, name)).collect()));
    let table = Table {
        caption: format!("<b>{said}</b>"),
        header: frame.names().iter().map(|name| escape(&name.replace('_', " "))).collect(),
        rows: rows.collect(),
        attributes: String::new(),
    };
    Ok(format!("<details><summary>{said}, as numbers</summary>\n{}</details>\n", table.html()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(files: &[(&str, &str)], scale: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        html(folder.path(), scale).unwrap()
    }

    const TABLE: &str = "| method | DINO | DINO (paper) |\n| --- | --- | --- |\n| LoRA | 0.609 ± 0.092 | 0.674 |\n\
        | ETHER+ | 0.481 ± 0.095 | 0.624 |\n\nA note.\n";
    const PAIRS: &str = "title,metric,lo,hi,p\nETHER+,dino,-0.2,-0.1,0.03\nDoRA,dino,0.1,0.2,0.2\n";

    #[test]
    fn differences_that_the_pairs_show_are_marked() {
        let html = written(&[("table1.md", TABLE), ("pairs.csv", PAIRS), ("pairs.md", "")], "mini");
        let marked = "0.481 ± 0.095 <span class=\"down\" title=\"below the baseline\">▼</span>";
        assert!(html.contains(marked), "{html}");
        assert_eq!(html.matches("<span").count(), 1, "{html}");
        assert!(html.contains("not to be compared") && html.contains("<p class=\"note\">A note.</p>"));
        assert!(html.contains("Table 1, ours beside the paper"));
    }

    #[test]
    fn at_the_papers_scale_the_difference_stands_behind_its_number() {
        let html = written(&[("table1.md", TABLE)], "paper");
        assert!(html.contains(">0.674 (−0.065)<") && html.contains(">0.624 (−0.143)<"), "{html}");
        assert!(!written(&[("table1.md", TABLE)], "mini").contains("(−0.065)"));
    }

    #[test]
    fn a_csv_alone_becomes_a_table_and_no_folder_no_table() {
        let html = written(&[("heatmap.csv", "method,mean_dino\nlora,0.12345\n")], "mini");
        assert!(html.contains("<th scope=\"col\" class=\"n\">mean dino</th>"), "{html}");
        assert!(html.contains(">0.123<"), "{html}");
        assert_eq!(super::html(Path::new("no/such/folder"), "mini").unwrap(), "");
    }

    #[test]
    fn captions_say_what_is_shown() {
        let captions = ["table8-clip_i", "curves", "robustness", "other"].map(caption);
        let expected = [
            "Table 8, ours beside the paper's: CLIP-I",
            "Loss and distance over the steps",
            "Score and distance against the learning rate",
            "other",
        ];
        assert_eq!(captions, expected);
        assert_eq!(rounded(1.5e-5), "1.50e−5");
    }
}
