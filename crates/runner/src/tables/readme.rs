//! README of a results folder: question, command, machine, commit, dates, and the summary as a table.

use std::collections::BTreeSet;

use crate::experiments::{Direction, Experiment, Tuning};
use crate::ledger::{Record, Row};
use crate::tables::phases::Phased;
use crate::tables::summary::{Spread, Summary};

pub(crate) fn text(experiment: &Experiment, phased: &Phased, rows: &[Row], summary: &Summary) -> String {
    let grid = &phased.grid;
    let records: Vec<&Record> = rows.iter().map(|(_, record)| &**record).collect();
    let count = |name: &str| records.iter().filter(|record| record.outcome.status.name() == name).count();
    let open = grid.trials.len() - rows.len();
    let mut text =
        format!("# {} at scale {}\n\n{}\n\n", experiment.name, experiment.scale, experiment.question);
    text += "Written by the runner from its ledger; not edited by hand.\n\n";
    let direction = match experiment.direction {
        Direction::Maximize => "larger is better",
        Direction::Minimize => "smaller is better",
    };
    text += &format!("- Metric: `{}`, {direction}\n", experiment.metric);
    if !experiment.paper.is_empty() {
        text += &format!("- In the paper: {}\n", experiment.paper.join(", "));
    }
    text += &format!(
        "- Trials: {} ({} done, {} diverged, {} failed, {open} open)\n",
        grid.trials.len(),
        count("done"),
        count("diverged"),
        count("failed"),
    );
    if let Some(tuning) = &experiment.tuning {
        text += &tuning_text(tuning, phased);
    }
    text += &list("Command", records.iter().map(|record| format!("`{}`", record.stamp.command)));
    text += &list(
        "Machine",
        records.iter().map(|record| {
            format!("{}, {} cores, {}", record.stamp.machine, record.stamp.cores, record.stamp.device)
        }),
    );
    let commits: BTreeSet<String> = records.iter().map(|record| commit(record)).collect();
    text += &list("Commit", commits.iter().cloned());
    if commits.len() > 1 {
        text += "- Note: the rows come from more than one commit; `trials.csv` says which\n";
    }
    let first = records.iter().map(|record| &record.stamp.started).min();
    let last = records.iter().map(|record| &record.stamp.finished).max();
    if let (Some(first), Some(last)) = (first, last) {
        text += &format!("- Run: {first} to {last}\n");
    }
    text + "\n" + &table(experiment, summary)
}

/// With which seeds and by which metric settings were chosen, and for which points they are not yet.
fn tuning_text(tuning: &Tuning, phased: &Phased) -> String {
    let seeds: Vec<String> = tuning.seeds.iter().map(u64::to_string).collect();
    let (points, chosen) = (phased.points.len(), phased.num_chosen());
    let first: String =
        tuning.first.iter().map(|(axis, count)| format!(" on the first {count} of each {axis}")).collect();
    let mut text = format!(
        "- Tuning: with seeds {}{first} by `{}`; settings of {chosen} of {points} points are chosen\n",
        seeds.join(", "),
        tuning.metric
    );
    let open = phased.points.iter().filter(|point| point.chosen.is_none());
    let open: Vec<&str> = open.map(|point| point.name.as_str()).collect();
    if !open.is_empty() {
        text +=
            &format!("- Not in the table, since their settings are not chosen yet: {}\n", open.join("; "));
    }
    text
}

fn commit(record: &Record) -> String {
    let changed = if record.stamp.dirty { ", with uncommitted changes" } else { "" };
    format!("{}{changed}", record.stamp.commit)
}

fn list(title: &str, values: impl Iterator<Item = String>) -> String {
    let values: BTreeSet<String> = values.collect();
    let values: Vec<String> = values.into_iter().collect();
    if values.is_empty() { String::new() } else { format!("- {title}: {}\n", values.join("; ")) }
}

/// The summary in Markdown, rounded; `summary.csv` has full precision.
fn table(experiment: &Experiment, summary: &Summary) -> String {
    let mut header = summary.compared.clone();
    header.extend(summary.tuned.iter().map(|path| format!("best {path}")));
    header.extend(summary.metrics.iter().cloned());
    header.extend(["n", "diverged", "failed"].map(String::from));
    let mut lines = vec![line(&header), line(&vec!["---".to_string(); header.len()])];
    let mut at_end = false;
    for row in &summary.rows {
        let mut cells = row.compared.clone();
        for (path, value) in summary.tuned.iter().zip(&row.best) {
            let ends = row.at_range_end.contains(path);
            at_end |= ends;
            cells.push(if ends { format!("{value} *") } else { value.clone() });
        }
        cells.extend(row.spreads.iter().map(spread_text));
        cells.extend([row.n, row.diverged, row.failed].map(|count| count.to_string()));
        lines.push(line(&cells));
    }
    let mut text = lines.join("\n") + "\n\n";
    text += &format!(
        "Mean ± standard deviation over {}; n is the number of finished trials.\n",
        experiment.replicates.join(", ")
    );
    if at_end {
        text += "\n\\* at the end of its range: a longer list may hold a better value.\n";
    }
    text
}

fn line(cells: &[String]) -> String {
    format!("| {} |", cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | "))
}

fn spread_text(spread: &Spread) -> String {
    match (spread.mean, spread.std) {
        (None, _) => String::new(),
        (Some(mean), None) => rounded(mean),
        (Some(mean), Some(std)) if std == 0.0 && mean.fract() == 0.0 => rounded(mean),
        (Some(mean), Some(std)) => format!("{} ± {}", rounded(mean), rounded(std)),
    }
}

/// Three decimals for everyday sizes, two more digits where those would be lost.
fn rounded(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        size if !(1e-3..1e6).contains(&size) => format!("{value:.2e}"),
        _ if value.fract() == 0.0 => format!("{value}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_for_reading() {
        let texts = [0.0, 0.51234, 4096.0, 1.5e-5, 12_345_678.0].map(rounded);
        assert_eq!(texts, ["0", "0.512", "4096", "1.50e-5", "1.23e7"]);
        let counted = Spread { mean: Some(4096.0), std: Some(0.0) };
        assert_eq!(spread_text(&counted), "4096");
    }
}
