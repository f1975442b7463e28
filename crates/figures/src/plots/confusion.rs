//! What was taken for what: the confusion matrices of a few methods, a row of them for each task.

use results::glue::{self, Task};
use results::{NONE, Series, Trial, Trials};

use crate::canvas::{Align, Canvas, text_width};
use crate::colour_map;
use crate::drawing::{Drawing, full, listed};
use crate::error::{FiguresError, Result};
use crate::figure::{Figure, Source};
use crate::style::{INK, LABEL_SIZE, MUTED, NOTE_SIZE, TICK_SIZE, TITLE_SIZE, WHITE};
use crate::wrap::Notes;

pub const FIGURE: Figure = Figure { name: "confusion", caption: "Which label was taken for which", draw };

/// The methods shown; where none of them was run, the first that were.
const METHODS: [&str; 4] = [NONE, "full", "lora", "delora"];

const WIDTH: f64 = 1000.0;
/// Left of a row of matrices, for the names of its true labels.
const LEFT: f64 = 152.0;
const RIGHT: f64 = 10.0;
const BETWEEN: f64 = 18.0;
const WIDEST: f64 = 250.0;
const CELL_HEIGHT: f64 = 40.0;
/// Above the matrices of a task: its title and the methods; below them: the names of the predicted labels.
const ABOVE: f64 = 52.0;
const BELOW: f64 = 40.0;
const TOP: f64 = 8.0;

/// The counts of one method on one task, summed over its trials.
struct Matrix<'a> {
    series: Series<'a>,
    /// By true label, then by predicted one.
    counts: Vec<Vec<f64>>,
    /// Trials that have counts.
    trials: usize,
}

struct Part<'a> {
    task: &'static Task,
    matrices: Vec<Matrix<'a>>,
}

/// `confusion.svg`, `confusion.png` and `confusion.csv`.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let trials = source.trials;
    let tasks = glue::tasks_of(trials)?;
    let shown = shown(trials);
    let matrices = |task| shown.iter().map(|series| Matrix::of(trials, *series, task)).collect();
    let mut parts: Vec<Part> =
        tasks.into_iter().map(|task| Part { task, matrices: matrices(task) }).collect();
    parts.retain(|part| part.matrices.iter().any(|matrix| matrix.trials > 0));
    if parts.is_empty() {
        return Err(FiguresError::nothing(
            trials.path(),
            "counts `confusion_<true>_<predicted>` of a finished trial",
            "tasks with labels have them; a regression such as stsb has none",
        ));
    }
    Ok(vec![
        Drawing::shapes(FIGURE.name, figure(trials, &parts)),
        Drawing::csv("confusion.csv", csv_header(), csv_rows(trials, &parts)),
    ])
}

fn shown(trials: &Trials) -> Vec<Series<'_>> {
    let all = trials.series();
    let chosen = METHODS.iter().flat_map(|method| all.iter().filter(move |series| series.method == *method));
    let chosen: Vec<Series> = chosen.copied().collect();
    if chosen.is_empty() { all.into_iter().take(METHODS.len()).collect() } else { chosen }
}

impl<'a> Matrix<'a> {
    fn of(trials: &'a Trials, series: Series<'a>, task: &Task) -> Self {
        let labels = task.labels.len();
        let mut counts = vec![vec![0.0; labels]; labels];
        let mut counted = 0;
        for trial in trials.of(series).filter(|trial| trial.subject == task.name) {
            let Some(of_trial) = counts_of(trials, trial, labels) else { continue };
            counted += 1;
            for (sum, count) in counts.iter_mut().flatten().zip(of_trial) {
                *sum += count;
            }
        }
        Self { series, counts, trials: counted }
    }

    /// Of the sentences with a true label, those that were given each label.
    fn share(&self, truth: usize, predicted: usize) -> Option<f64> {
        let row = &self.counts[truth];
        let sum: f64 = row.iter().sum();
        (sum > 0.0).then(|| row[predicted] / sum)
    }

    fn draw(&self, canvas: &mut Canvas, labels: &[&str], corner: (f64, f64), width: f64) {
        let cell = width / labels.len() as f64;
        for (truth, predicted) in cells(labels.len()) {
            let (x, y) = (corner.0 + predicted as f64 * cell, corner.1 + truth as f64 * CELL_HEIGHT);
            let (right, bottom) = (x + cell - 1.5, y + CELL_HEIGHT - 1.5);
            let share = self.share(truth, predicted);
            let ground = share.map_or(WHITE, colour_map::colour);
            canvas.polygon(&[(x, y), (right, y), (right, bottom), (x, bottom)], ground, 1.0);
            let (ink, middle) = (colour_map::ink_on(ground), f64::midpoint(x, right));
            let Some(share) = share else {
                canvas.text("–", (middle, f64::midpoint(y, bottom)), NOTE_SIZE, MUTED, Align::Centre);
                continue;
            };
            let text = format!("{:.0} %", 100.0 * share);
            canvas.text(&text, (middle, y + 13.0), TICK_SIZE, ink, Align::Centre);
            let count = self.counts[truth][predicted].to_string();
            canvas.text(&count, (middle, y + 29.0), NOTE_SIZE - 1.5, ink, Align::Centre);
        }
    }
}

/// The counts of a finished trial, row by row; absent where one of them is.
fn counts_of(trials: &Trials, trial: &Trial, labels: usize) -> Option<Vec<f64>> {
    let count = |(truth, predicted)| trials.score(trial, &format!("confusion_{truth}_{predicted}"));
    cells(labels).map(count).collect::<Option<Vec<f64>>>().filter(|counts| !counts.is_empty())
}

/// Every pair of labels, true label by true label.
fn cells(labels: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..labels).flat_map(move |truth| (0..labels).map(move |predicted| (truth, predicted)))
}

fn figure(trials: &Trials, parts: &[Part]) -> Canvas {
    let heights = parts.iter().map(|part| ABOVE + part.task.labels.len() as f64 * CELL_HEIGHT + BELOW);
    let heights: Vec<f64> = heights.collect();
    let most = parts.iter().flat_map(|part| &part.matrices).map(|matrix| matrix.trials).max().unwrap_or(0);
    let note = format!(
        "Rows: true label; columns: predicted label. Percent of the true label’s examples in the test half, and below that their \
         number, {}.",
        if most == 1 { "of one seed".to_owned() } else { format!("summed over up to {most} seeds") }
    );
    let notes = Notes::new(&note, WIDTH);
    let mut canvas = Canvas::new(WIDTH, TOP + heights.iter().sum::<f64>() + notes.height() + 6.0);
    let mut top = TOP;
    for (part, height) in parts.iter().zip(heights) {
        part.draw(&mut canvas, trials, top);
        top += height;
    }
    notes.draw(&mut canvas);
    canvas
}

impl Part<'_> {
    fn draw(&self, canvas: &mut Canvas, trials: &Trials, top: f64) {
        let labels = self.task.labels;
        let count = self.matrices.len() as f64;
        let width = ((WIDTH - LEFT - RIGHT - (count - 1.0) * BETWEEN) / count).min(WIDEST);
        let first = top + ABOVE;
        canvas.text(self.task.title, (12.0, top + 20.0), TITLE_SIZE, INK, Align::Left);
        for (index, label) in labels.iter().enumerate() {
            let y = first + (index as f64 + 0.5) * CELL_HEIGHT;
            canvas.text(label, (LEFT - 10.0, y), TICK_SIZE, INK, Align::Right);
        }
        for (index, matrix) in self.matrices.iter().enumerate() {
            let left = LEFT + index as f64 * (width + BETWEEN);
            let middle = left + width / 2.0;
            let title = trials.title(matrix.series);
            canvas.text(&title, (middle, first - 16.0), LABEL_SIZE, INK, Align::Centre);
            if matrix.trials == 0 {
                let y = first + labels.len() as f64 * CELL_HEIGHT / 2.0;
                canvas.text("no finished trial", (middle, y), TICK_SIZE, MUTED, Align::Centre);
                continue;
            }
            matrix.draw(canvas, labels, (left, first), width);
            let cell = width / labels.len() as f64;
            for (index, label) in labels.iter().enumerate() {
                let at =
                    (left + (index as f64 + 0.5) * cell, first + labels.len() as f64 * CELL_HEIGHT + 11.0);
                let size = NOTE_SIZE * ((cell - 4.0) / text_width(label, NOTE_SIZE)).min(1.0);
                canvas.text(label, at, size, INK, Align::Centre);
            }
        }
    }
}

fn csv_header() -> Vec<String> {
    listed("task, method, title, true, predicted, true_label, predicted_label, count, share_of_true, trials")
}

fn csv_rows(trials: &Trials, parts: &[Part]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for part in parts {
        for matrix in part.matrices.iter().filter(|matrix| matrix.trials > 0) {
            for (truth, predicted) in cells(part.task.labels.len()) {
                let mut row = [part.task.name, matrix.series.method].map(str::to_owned).to_vec();
                row.push(trials.title(matrix.series));
                row.extend([truth, predicted].map(|label| label.to_string()));
                row.extend([truth, predicted].map(|label| part.task.labels[label].to_owned()));
                row.push(matrix.counts[truth][predicted].to_string());
                row.push(full(matrix.share(truth, predicted)));
                row.push(matrix.trials.to_string());
                rows.push(row);
            }
        }
    }
    rows
}
