//! A table as Markdown and CSV.

use results::glue::ACCURACY;
use results::{Series, diverged, num_parameters, stats};

use super::rows::Column;
use super::{ABSENT, PAPER_SCALE, Part, PrintedColumns, PrintedRows, Row, Table};
use crate::axis::signed;
use crate::drawing::{Drawing, full, markdown};
use crate::tables::cell::in_millions;
use crate::tables::mean_and_std;

/// What CSV columns of a score are called behind its name.
const OVER_SUBJECTS: [&str; 3] = ["mean", "std_trials", "std_seeds"];
const OVER_SEEDS: [&str; 6] = ["mean", "std", "n", "diverged", "failed", "unscored"];

/// The metric that says how many pairs of pictures a trial's means are of.
const PAIRS: &str = "pairs";
const FLAT_NOTE: &str = " `_flat` in the CSV is one flat mean over all pairs of pictures, as DreamBooth's scores are taken; a subject \
                         with more pictures weighs more.";

/// A column with numbers of the paper: what it is called in both files, and its cells in both.
struct PaperColumn {
    heading: String,
    name: String,
    rounded: Vec<Option<String>>,
    full: Vec<Option<String>>,
}

impl<'a> Table<'a> {
    /// `<key>.md` and `<key>.csv`.
    pub fn write(&self) -> Vec<Drawing> {
        let printed = self.paper_columns();
        let csv = |row: (usize, &Row<'a>)| -> Vec<String> {
            self.table.csv.iter().flat_map(|part| self.csv_cells(*part, row, &printed)).collect()
        };
        let header = self.table.csv.iter().flat_map(|part| self.csv_names(*part, &printed)).collect();
        let rows = self.rows.iter().enumerate().map(csv).collect();
        let text = self.markdown(&printed);
        vec![
            Drawing::text(format!("{}.md", self.table.key), text),
            Drawing::csv(format!("{}.csv", self.table.key), header, rows),
        ]
    }

    fn markdown(&self, printed: &[PaperColumn]) -> String {
        let parts = &self.table.markdown;
        let header: Vec<String> = parts.iter().flat_map(|part| self.headings(*part, printed)).collect();
        let mut rows = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            rows.push(parts.iter().flat_map(|part| self.cells(*part, (index, row), printed)).collect());
            let next = self.rows.get(index + 1).map(|next| next.series.method);
            if next != Some(row.series.method) {
                rows.extend(self.paper_rows(row));
            }
        }
        format!("{}\n{}\n", markdown(&header, &rows), self.note())
    }

    fn headings(&self, part: Part, printed: &[PaperColumn]) -> Vec<String> {
        let one = |heading: &str| vec![heading.to_owned()];
        match part {
            Part::Method | Part::Title => one("method"),
            Part::Formulation => one("formulation"),
            Part::Scores => self.columns.iter().map(|column| column.title.to_owned()).collect(),
            Part::Average if self.averaged().is_empty() => Vec::new(),
            Part::Average => one("Avg"),
            Part::Number => one("n"),
            Part::Diverged => one("diverged"),
            Part::Parameters if self.table.decimals.is_none() => one("parameters"),
            Part::Parameters => one("#params"),
            Part::Printed => printed.iter().map(|column| column.heading.clone()).collect(),
            Part::Flat | Part::Extra => Vec::new(),
        }
    }

    fn cells(&self, part: Part, (index, row): (usize, &Row<'a>), printed: &[PaperColumn]) -> Vec<String> {
        let series = row.series;
        match part {
            Part::Scores => self.columns.iter().map(|column| self.score(row, column)).collect(),
            Part::Average if self.averaged().is_empty() => Vec::new(),
            Part::Average => vec![self.average(series).text()],
            Part::Parameters => {
                let count = num_parameters(self.trials, series);
                vec![count.map_or(ABSENT.to_owned(), |count| match self.table.decimals {
                    None => grouped(count),
                    Some(decimals) => in_millions(count, decimals),
                })]
            }
            Part::Printed => {
                let cell = |column: &PaperColumn| column.rounded[index].clone().unwrap_or(ABSENT.to_owned());
                printed.iter().map(cell).collect()
            }
            Part::Method | Part::Flat | Part::Extra => Vec::new(),
            _ => self.csv_cells(part, (index, row), printed),
        }
    }

    fn score(&self, row: &Row<'a>, column: &Column) -> String {
        let cell = self.cell(row.series, column);
        if let Some(decimals) = self.table.decimals {
            return cell.text(decimals);
        }
        let seeds = cell.spread.std_seeds.map_or(String::new(), |std| format!(" / {}", signed(std, 3)));
        let empty = if self.trials.of(row.series).next().is_some() { ABSENT } else { "missing" };
        let text = mean_and_std(cell.spread.mean, cell.spread.std_trials, [3, 3]);
        text.map_or(empty.to_owned(), |text| text + &seeds)
    }

    fn csv_names(&self, part: Part, printed: &[PaperColumn]) -> Vec<String> {
        let of = |name: &str, parts: &[&str]| -> Vec<String> {
            parts.iter().map(|part| format!("{name}_{part}")).collect()
        };
        match part {
            Part::Method => vec!["method".to_owned()],
            Part::Title => vec!["title".to_owned()],
            Part::Scores => {
                let parts: &[&str] = if self.table.decimals.is_some() { &OVER_SEEDS } else { &OVER_SUBJECTS };
                self.columns.iter().flat_map(|column| of(column.name, parts)).collect()
            }
            Part::Average => of("avg", &["mean", "std", "n"]),
            Part::Parameters => vec!["num_parameters".to_owned()],
            Part::Printed if self.table.printed_rows.is_empty() => {
                printed.iter().map(|column| column.name.clone()).collect()
            }
            Part::Printed => {
                let names = self.table.printed_rows.iter().flat_map(|rows| self.row_names(rows));
                std::iter::once("paper_parameters".to_owned()).chain(names).collect()
            }
            Part::Flat => self.flat().map(|column| format!("{}_flat", column.name)).collect(),
            Part::Extra => {
                let there = self.table.extra.iter().filter(|name| self.trials.has(name));
                there.flat_map(|name| of(name, &["mean", "std"])).collect()
            }
            _ => self.headings(part, printed),
        }
    }

    fn csv_cells(&self, part: Part, (index, row): (usize, &Row<'a>), printed: &[PaperColumn]) -> Vec<String> {
        let series = row.series;
        let spread = |metric: &str| results::Spread::of(self.trials, self.trials.of(series), metric);
        match part {
            Part::Method => vec![series.method.to_owned()],
            Part::Title => vec![self.title(row)],
            Part::Formulation => vec![self.trials.formula(series.method).to_owned()],
            Part::Scores => self.columns.iter().flat_map(|column| self.csv_score(row, column)).collect(),
            Part::Average => {
                let average = self.average(series);
                let mut cells: Vec<String> = [average.mean, average.std()].map(full).into();
                cells.push(average.of_seeds.len().to_string());
                cells
            }
            Part::Number => vec![spread(self.columns[0].metric.name).n.to_string()],
            Part::Diverged => vec![diverged(self.trials.of(series)).to_string()],
            Part::Parameters => {
                vec![num_parameters(self.trials, series).map_or(String::new(), |count| count.to_string())]
            }
            Part::Printed if self.table.printed_rows.is_empty() => {
                printed.iter().map(|column| column.full[index].clone().unwrap_or_default()).collect()
            }
            Part::Printed => self.csv_printed(series.method),
            Part::Flat => self.flat().map(|column| full(self.flat_mean(series, column))).collect(),
            Part::Extra => {
                let there = self.table.extra.iter().filter(|name| self.trials.has(name));
                let spreads = there.map(|name| spread(name));
                spreads.flat_map(|spread| [spread.mean, spread.std_trials].map(full)).collect()
            }
        }
    }

    fn csv_score(&self, row: &Row<'a>, column: &Column) -> Vec<String> {
        let cell = self.cell(row.series, column);
        let spread = cell.spread;
        if self.table.decimals.is_none() {
            return [spread.mean, spread.std_trials, spread.std_seeds].map(full).into();
        }
        let mut cells: Vec<String> = [spread.mean, spread.std_trials].map(full).into();
        cells.extend(cell.counts().map(|count| count.to_string()));
        cells
    }

    /// The columns that are means over pairs of pictures, where the trials say how many.
    fn flat(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.reported && self.trials.has(PAIRS))
    }

    /// The mean of all pairs of all trials of a row.
    fn flat_mean(&self, series: Series, column: &Column) -> Option<f64> {
        let of_trial = |trial| Some((column.value(self.trials, trial)?, self.trials.score(trial, PAIRS)?));
        let trials = self.trials.of(series).filter_map(of_trial);
        let (sum, pairs) =
            trials.fold((0.0, 0.0), |(sum, all), (mean, pairs)| (sum + mean * pairs, all + pairs));
        (pairs > 0.0).then(|| sum / pairs)
    }

    /// The paper's columns: scores, then parameters where it prints any.
    fn paper_columns(&self) -> Vec<PaperColumn> {
        let mut printed = Vec::new();
        for PrintedColumns { heading, name, table, decimals } in &self.table.printed_columns {
            let reported: Vec<_> = self.rows.iter().map(|row| self.reported(table, row)).collect();
            for column in self.columns.iter().filter(|column| column.reported) {
                let values = || reported.iter().map(|row| row.metric(column.name));
                printed.push(PaperColumn {
                    heading: format!("{}{heading} (paper)", column.title),
                    name: format!("paper_{}{name}", column.name),
                    rounded: values().map(|value| Some(format!("{:.*}", decimals, value?))).collect(),
                    full: values().map(|value| Some(value?.to_string())).collect(),
                });
            }
        }
        let counts: Vec<Option<String>> =
            self.rows.iter().map(|row| self.reported(&self.table.key, row).parameters).collect();
        if counts.iter().any(Option::is_some) {
            let (heading, name) = ("parameters (paper)".to_owned(), "paper_parameters".to_owned());
            printed.push(PaperColumn { heading, name, rounded: counts.clone(), full: counts });
        }
        printed
    }

    /// A row for each time that the paper prints the method, below ours.
    fn paper_rows(&self, row: &Row) -> Vec<Vec<String>> {
        let decimals = self.table.decimals.unwrap_or(3);
        let method = row.series.method;
        let title = row.printed.map_or_else(|| self.trials.method_title(method).to_owned(), str::to_owned);
        let mut rows = Vec::new();
        for PrintedRows { heading, means, spreads, .. } in &self.table.printed_rows {
            let reported = self.paper.row(means, method);
            let spread = spreads.as_ref().map(|table| self.paper.row(table, method)).unwrap_or_default();
            if !reported.has_numbers() {
                continue;
            }
            let cell = |column: &Column| {
                let mean = reported.metric(column.name).map(|mean| signed(mean, decimals));
                let std = spread.metric(column.name).map_or(String::new(), |std| format!(" ± {std:.2}"));
                mean.map_or(ABSENT.to_owned(), |mean| mean + &std)
            };
            let mut row = vec![format!("{title} {heading}")];
            row.push(reported.parameters.clone().unwrap_or(ABSENT.to_owned()));
            row.extend(self.columns.iter().map(cell));
            if !self.averaged().is_empty() {
                let average = self.paper_average(&|task| reported.metric(task));
                row.push(average.map_or(ABSENT.to_owned(), |mean| signed(mean, decimals)));
            }
            rows.push(row);
        }
        rows
    }

    /// The paper's average, of the tasks that were run here.
    fn paper_average(&self, reported: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
        if self.is_whole() {
            return reported("avg");
        }
        let in_paper = self.columns.iter().filter(|column| column.task.is_some_and(|task| task.in_paper));
        stats::mean(&in_paper.map(|column| reported(column.name)).collect::<Option<Vec<f64>>>()?)
    }

    fn row_names(&self, rows: &PrintedRows) -> Vec<String> {
        let parts: &[&str] = if rows.spreads.is_some() { &["", "_std"] } else { &[""] };
        let of = |column: &Column| {
            parts.iter().map(|part| format!("{}_{}{part}", rows.name, column.name)).collect()
        };
        let mut names: Vec<String> = self.columns.iter().flat_map::<Vec<String>, _>(of).collect();
        names.extend(self.has_average().then(|| format!("{}_avg", rows.name)));
        names
    }

    fn csv_printed(&self, method: &str) -> Vec<String> {
        let mut cells = vec![self.paper.row(&self.table.key, method).parameters.unwrap_or_default()];
        for PrintedRows { means, spreads, .. } in &self.table.printed_rows {
            let reported = self.paper.row(means, method);
            let spread = spreads.as_ref().map(|table| self.paper.row(table, method));
            for column in &self.columns {
                cells.push(full(reported.metric(column.name)));
                cells.extend(spread.as_ref().map(|spread| full(spread.metric(column.name))));
            }
            if self.has_average() {
                cells.push(full(self.paper_average(&|task| reported.metric(task))));
            }
        }
        cells
    }

    /// Whether the CSV has averages.
    fn has_average(&self) -> bool {
        self.table.csv.contains(&Part::Average)
    }

    fn note(&self) -> String {
        let [same, other] = &self.table.comparable;
        let compared: Vec<_> = self.compared().iter().map(|row| row.series).collect();
        let others = self.columns.iter().filter_map(|column| column.task);
        let others = others.filter(|task| task.metric != ACCURACY);
        let metrics: String = others.map(|task| format!(", of {} {}", task.title, task.metric)).collect();
        let text = self.table.note.replace("{seeds}", &self.trials.seeds().join(", "));
        let text = text.replace("{extent}", &self.trials.extent(&compared));
        let text = text.replace("{metrics}", &metrics).replace("{average}", &self.average_note());
        let text = text.replace("{comparable}", if self.scale == PAPER_SCALE { same } else { other });
        let has_flat = self.table.csv.contains(&Part::Flat) && self.flat().next().is_some();
        text + if has_flat { FLAT_NOTE } else { "" }
    }

    fn average_note(&self) -> String {
        let (tasks, theirs) = match (self.averaged().len(), self.is_whole()) {
            (0, _) => return String::new(),
            (_, true) => ("the paper's eight tasks".to_owned(), ""),
            (some, false) => (format!("the {some} of the paper's tasks that were run"), ", the paper's too"),
        };
        format!(
            " Avg: mean of the means on {tasks}{theirs}, only where a method has a score on each; ± over the seeds that have one on each."
        )
    }
}

/// 1234567 as "1,234,567".
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let separated = |(index, digit): (usize, char)| {
        let comma = index > 0 && (digits.len() - index).is_multiple_of(3);
        [comma.then_some(','), Some(digit)].into_iter().flatten()
    };
    digits.chars().enumerate().flat_map(separated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
