//! Table 5 as a figure: a panel for each benchmark, a row for each method, its seeds as points.

use std::path::{Path, PathBuf};

use crate::canvas::Canvas;
use crate::cell::percent;
use crate::error::Result;
use crate::instruct::{AVERAGE, BENCHMARKS, Benchmark};
use crate::instruct_table::{DECIMALS, InstructTable, KEY, rows_run};
use crate::output::write_figure;
use crate::plots::dot_panels::{DotPanel, draw_panels};
use crate::plots::dots::Row;
use crate::series::Series;
use crate::style::{colour, marker};
use crate::trials::{Trial, counted};

/// What training itself is judged by; the answers of no finetuning have one too.
const LOSS: &str = "test_loss";

impl InstructTable<'_> {
    /// `table5.svg` and `table5.png`; methods that were not run have no row.
    pub fn draw(&self, scale: &str, plots: &Path) -> Result<Vec<PathBuf>> {
        write_figure(plots, KEY, &self.figure(scale))
    }

    fn figure(&self, scale: &str) -> Canvas {
        let shown = rows_run(self.trials);
        let panel = |benchmark: &'static Benchmark| DotPanel {
            heading: if benchmark.name == AVERAGE { "Average" } else { benchmark.title }.to_owned(),
            axis_title: format!("{} (%)", benchmark.metric),
            rows: shown.iter().map(|series| self.row(*series, benchmark)).collect(),
        };
        let mut panels: Vec<DotPanel> = BENCHMARKS.iter().map(panel).collect();
        if self.trials.has(LOSS) {
            panels.push(DotPanel {
                heading: "Held-out instructions".to_owned(),
                axis_title: "loss (cross-entropy)".to_owned(),
                rows: shown.iter().map(|series| self.loss_row(*series)).collect(),
            });
        }
        let names: Vec<String> = shown.iter().map(|series| self.trials.title(*series)).collect();
        draw_panels(&names, &panels, &self.figure_note(scale))
    }

    fn row(&self, series: Series, benchmark: &Benchmark) -> Row {
        let cell = self.cell(series, benchmark);
        let value = |trial: &Trial| percent(self.trials, trial, benchmark.name);
        let row = Row::of_trials(&cell.trials, value, colour(series.method), marker(series.method));
        Row { numbers: cell.numbers(DECIMALS).unwrap_or_default(), ..row }
    }

    fn loss_row(&self, series: Series) -> Row {
        let trials: Vec<&Trial> = self.trials.of(series).collect();
        let value = |trial: &Trial| self.trials.score(trial, LOSS);
        Row::of_trials(&trials, value, colour(series.method), marker(series.method))
    }

    fn figure_note(&self, scale: &str) -> String {
        let seeds = match self.trials.seeds().len() {
            1 => "One seed, so no spread.".to_owned(),
            seeds => format!("Large marks: mean ± std over up to {seeds} seeds; small dots: single seeds."),
        };
        let lost = self.trials.all().iter().filter(|trial| percent(self.trials, trial, AVERAGE).is_none());
        let lost = match lost.count() {
            0 => String::new(),
            lost => {
                format!(" {} without a score, left out: diverged or failed.", counted(lost, "trial"))
            }
        };
        format!("Scale {scale}. {seeds}{lost}")
    }
}
