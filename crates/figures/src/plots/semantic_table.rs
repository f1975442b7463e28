//! Table 2 as a figure: a panel for each score, a row for each method, its seeds as points.

use std::path::{Path, PathBuf};

use crate::canvas::Canvas;
use crate::error::Result;
use crate::output::write_figure;
use crate::plots::dot_panels::{DotPanel, draw_panels};
use crate::plots::dots::Row;
use crate::semantic_table::{DECIMALS, KEY, METRICS, Metric, SemanticTable};
use crate::series::Series;
use crate::style::{colour, marker};
use crate::trials::Trial;

impl SemanticTable<'_> {
    /// `table2.svg` and `table2.png`; methods that were not run have no row.
    pub fn draw(&self, scale: &str, plots: &Path) -> Result<Vec<PathBuf>> {
        write_figure(plots, KEY, &self.figure(scale))
    }

    fn figure(&self, scale: &str) -> Canvas {
        let mut shown = self.rows.clone();
        shown.retain(|series| self.trials.of(*series).next().is_some());
        let panel = |metric: &Metric| DotPanel {
            heading: metric.title.to_owned(),
            axis_title: metric.axis_title.to_owned(),
            rows: shown.iter().map(|series| self.dots(*series, metric)).collect(),
        };
        let panels: Vec<DotPanel> = METRICS.iter().map(panel).collect();
        let names: Vec<String> = shown.iter().map(|series| self.trials.title(*series)).collect();
        let seeds = match self.trials.seeds().len() {
            1 => "One seed, so no spread.".to_owned(),
            seeds => format!("Large marks: mean ± std over {seeds} seeds; small dots: single seeds."),
        };
        draw_panels(&names, &panels, &format!("Scale {scale}. {seeds}"))
    }

    fn dots(&self, series: Series, metric: &Metric) -> Row {
        let cell = self.cell(series, metric);
        let value = |trial: &Trial| metric.value(self.trials, trial);
        let row = Row::of_trials(&cell.trials, value, colour(series.method), marker(series.method));
        Row { numbers: cell.numbers(DECIMALS).unwrap_or_default(), ..row }
    }
}
