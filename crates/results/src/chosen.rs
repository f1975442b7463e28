//! Which trials count: those of the settings that `summary.csv` chose.

use std::path::Path;

use crate::error::Result;
use crate::frame::Frame;

/// The points of the summary's rows: method, empty where the experiment compares none, and the settings that a trial of
/// the point must share, by column of `trials.csv`.
///
/// A search tries several settings for each compared point and the summary names the best: the others are not results.
/// A method that the summary does not mention keeps all its trials; so do all methods where there is no summary.
pub(crate) struct Chosen(Vec<(String, Vec<(String, String)>)>);

impl Chosen {
    /// Reads `summary.csv` of the folder `results`, whatever the summary chose for the settings of `varied`: a figure over a setting shows
    /// all its values.
    pub fn read(results: &Path, trials: &Frame, varied: &[&str]) -> Result<Self> {
        let path = results.join("summary.csv");
        if !path.exists() {
            return Ok(Self(Vec::new()));
        }
        let summary = Frame::read(&path)?;
        // A compared setting stands in the summary under its path, a tuned one as `best.<path>`.
        let setting = |name: &String| {
            let path = name.strip_prefix("best.").unwrap_or(name);
            let column = if path.starts_with("config.") { path.to_owned() } else { format!("config.{path}") };
            let kept = trials.has(&column) && !varied.contains(&column.as_str());
            kept.then_some((name.clone(), column))
        };
        let settings: Vec<(String, String)> = summary.names().iter().filter_map(setting).collect();
        let point = |row: usize| {
            let cells =
                settings.iter().map(|(name, column)| (column.clone(), summary.text(row, name).to_owned()));
            let stated = cells.filter(|(_, value)| !value.is_empty()).collect();
            (summary.text(row, "method").to_owned(), stated)
        };
        Ok(Self((0..summary.len()).map(point).collect()))
    }

    /// Whether the trial in `row` of `trials`, of `method`, counts.
    pub fn keeps(&self, trials: &Frame, row: usize, method: &str) -> bool {
        if trials.has("phase") && trials.text(row, "phase") == "tuning" {
            return false; // it helped to choose; only what was chosen is tested
        }
        let mut points = self.0.iter().filter(|(of, _)| of.is_empty() || of == method).peekable();
        points.peek().is_none()
            || points.any(|(_, point)| point.iter().all(|(column, value)| trials.text(row, column) == value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_that_only_helped_to_choose_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "trials.csv",
            "trial_id,config.method.name,config.rate,phase\na,lora,1,tuning\nb,lora,1,test\nc,lora,2,tuning\n",
        );
        write("summary.csv", "method,best.rate,score.mean\nlora,1,0.5\n");
        let trials = Frame::read(&folder.path().join("trials.csv")).unwrap();
        let chosen = Chosen::read(folder.path(), &trials, &[]).unwrap();
        let kept = (0..3).map(|row| chosen.keeps(&trials, row, "lora")).collect::<Vec<_>>();
        assert_eq!(kept, [false, true, false]);
    }
}
