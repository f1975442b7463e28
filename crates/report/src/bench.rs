//! The part of the page about what training steps cost, as `delora bench` has measured it.

use std::path::Path;

use results::Frame;

use crate::error::Result;
use crate::html::{Row, Table, escape};
use crate::pictures;
use crate::tables::rounded;

const TITLE: &str = "What a training step costs";

/// The entry of the table of contents, and the section; none where nothing was measured.
pub fn html(results: &Path, plots: &Path) -> Result<Option<(String, String)>> {
    if !results.join("ratios.csv").exists() {
        return Ok(None);
    }
    let limits = table(&results.join("machine.csv"), "The machine's limits", &["what", "value", "unit"])?;
    let costs = table(
        &results.join("costs.csv"),
        "A step of a bank, in milliseconds: what is fixed, what each trial takes, and how far measured steps are off that line; memory of \
         each trial beside the first, in megabytes",
        &["method", "fixed", "per_trial", "worst", "megabytes"],
    )?;
    let ratios = table(&results.join("ratios.csv"), "Ratios of medians, within one run", &["what", "ratio"])?;
    let drawing = plots.join("cost.svg");
    let figure = match drawing.exists() {
        true => format!("<figure>{}</figure>", pictures::svg(&drawing, "bench-cost", TITLE)?),
        false => String::new(),
    };
    let section = format!(
        "<section class=\"experiment\" id=\"bench\">\n<h2>{TITLE}</h2>\n<p class=\"note\">Times belong to the machine \
         that they were measured on; ratios are taken within one run of <code>just bench</code>.</p>\n{figure}\n{costs}\n{limits}\n\
         {ratios}\n</section>\n"
    );
    Ok(Some((format!("<li><a href=\"#bench\">{TITLE}</a></li>\n"), section)))
}

fn table(csv: &Path, caption: &str, columns: &[&str]) -> Result<String> {
    let frame = Frame::read(csv)?;
    for column in columns {
        frame.one_of(&[column])?;
    }
    let cell = |row: usize, column: &&str| match frame.number(row, column) {
        Some(number) => rounded(number),
        None => escape(frame.text(row, column)),
    };
    let row = |row| Row::of(columns.iter().map(|column| cell(row, column)).collect());
    let table = Table {
        caption: caption.to_owned(),
        header: columns.iter().map(|&column| column.to_owned()).collect(),
        rows: (0..frame.len()).map(row).collect(),
        attributes: String::new(),
    };
    Ok(table.html())
}
