//! What prolonged training does, as Markdown and CSV.

use results::prolonged::{Growth, Loss, Points};
use results::sweep::{Replicate, replicate};
use results::{Curves, Series, Status, Trials, diverged, stats, unit_means};

use crate::axis::signed;
use crate::drawing::{Drawing, full, listed, markdown};
use crate::tables::{ABSENT, with_sign};

/// One line of the table, of the trials that ran to their end.
struct Row<'a> {
    method: String,
    title: String,
    diverged: usize,
    growth: Growth<'a>,
    loss: Option<Loss<'a>>,
}

/// `prolonged.md` and `prolonged.csv`.
pub fn tables<'a>(
    trials: &'a Trials,
    series: &[Series<'a>],
    distance: &Curves,
    score: &Curves,
) -> [Drawing; 2] {
    let row = |series: &Series<'a>| Row::of(trials, *series, distance, score);
    let rows: Vec<Row> = series.iter().map(row).collect();
    let columns = listed(
        "method, title, n, diverged, slope_per_100_steps, slope_lo, slope_hi, slope_of_distance, verdict, distance_mean, \
         distance_std, dino_best_step, dino_best, dino_end_step, dino_end, n_pairs, dino_lost, dino_lost_lo, dino_lost_hi",
    );
    let csv = Drawing::csv("prolonged.csv", columns, rows.iter().map(Row::csv).collect());
    let header = listed(
        "method, n, diverged, slope per 100 steps, 95 % interval, of the distance, verdict, distance at the end, \
         DINO at its best, best step, DINO at the end, lost since, 95 % interval",
    );
    let cells: Vec<Vec<String>> = rows.iter().map(Row::markdown).collect();
    let text = format!(
        "{}\nSlope: of the distance of the tracked layer over the last third of training, least squares for each trial. “Still \
         growing” where the interval of the mean over subjects (or seeds of one) lies above zero, “flat” where it holds zero; the share beside it is of the distance at the end. \
         Lost since: DINO at the step with the best mean less DINO at the end, paired by trial; the best step is chosen by the \
         same trials, which makes the loss look larger than it is.\n",
        markdown(&header, &cells)
    );
    [Drawing::text("prolonged.md", text), csv]
}

impl<'a> Row<'a> {
    fn of(trials: &'a Trials, series: Series<'a>, distance: &Curves, score: &Curves) -> Self {
        let of = |curves: &Curves| -> Vec<(Replicate<'a>, Points)> {
            let done = trials.of(series).filter(|trial| trial.status == Status::Done);
            done.filter_map(|trial| Some((replicate(trial), curves.by_trial.get(&trial.id)?.clone())))
                .collect()
        };
        Self {
            method: series.method.to_owned(),
            title: trials.title(series),
            diverged: diverged(trials.of(series)),
            growth: Growth::of(&of(distance)),
            loss: Loss::of(&of(score)),
        }
    }

    fn csv(&self) -> Vec<String> {
        let mut cells = vec![self.method.clone(), self.title.clone()];
        cells.extend([self.growth.distances.len(), self.diverged].map(|count| count.to_string()));
        cells.extend(with_interval(&self.growth.slopes));
        cells.push(full(self.growth.relative_slope()));
        cells.push(self.growth.verdict().to_owned());
        let distances: Vec<f64> = self.growth.distances.iter().map(|(_, distance)| *distance).collect();
        cells.extend([stats::mean(&unit_means(&self.growth.distances)), stats::std(&distances)].map(full));
        let score = self.loss.as_ref();
        cells.extend(
            [score.map(|score| score.best_step), score.and_then(|score| stats::mean(&score.best))].map(full),
        );
        cells.extend(
            [score.map(|score| score.end_step), score.and_then(|score| stats::mean(&score.end))].map(full),
        );
        cells.push(score.map_or(String::new(), |score| score.losses.len().to_string()));
        cells.extend(with_interval(score.map_or(&[], |score| &score.losses)));
        cells
    }

    fn markdown(&self) -> Vec<String> {
        let number =
            |value: Option<f64>, decimals| value.map_or(ABSENT.to_owned(), |value| signed(value, decimals));
        let interval = |values: &[(Replicate, f64)]| {
            let text = |(low, high)| format!("{} to {}", with_sign(low, 4), with_sign(high, 4));
            stats::interval(&unit_means(values)).map_or(ABSENT.to_owned(), text)
        };
        let mean = |values: &[(Replicate, f64)]| stats::mean(&unit_means(values));
        let signed_mean =
            |values: &[(Replicate, f64)]| mean(values).map_or(ABSENT.to_owned(), |mean| with_sign(mean, 4));
        let mut cells = vec![self.title.clone()];
        cells.extend([self.growth.distances.len(), self.diverged].map(|count| count.to_string()));
        let relative = self
            .growth
            .relative_slope()
            .map_or(ABSENT.to_owned(), |share| format!("{} %", with_sign(share * 100.0, 1)));
        cells.extend([
            signed_mean(&self.growth.slopes),
            interval(&self.growth.slopes),
            relative,
            self.growth.verdict().to_owned(),
        ]);
        cells.push(number(mean(&self.growth.distances), 3));
        let Some(score) = &self.loss else {
            cells.extend([ABSENT; 5].map(str::to_owned));
            return cells;
        };
        cells.extend([number(stats::mean(&score.best), 3), number(Some(score.best_step), 0)]);
        cells.extend([number(stats::mean(&score.end), 3), number(mean(&score.losses), 3)]);
        cells.push(interval(&score.losses));
        cells
    }
}

/// Mean and the ends of its interval.
fn with_interval(values: &[(Replicate, f64)]) -> [String; 3] {
    let units = unit_means(values);
    let interval = stats::interval(&units);
    [stats::mean(&units), interval.map(|(low, _)| low), interval.map(|(_, high)| high)].map(full)
}
