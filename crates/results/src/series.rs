//! What tables and figures tell apart: a method, or those of its trials that share a setting.

use crate::methods::{NONE, REAL_IMAGES};
use crate::trials::{Trial, Trials};

/// The setting of low-rank methods.
pub const RANK: &str = "config.method.rank";
/// The setting of block-diagonal methods.
pub const BLOCKS: &str = "config.method.blocks";

/// Settings that tell series of one method apart, each with the paper's letter for it. No method has two of them.
const SETTINGS: [(&str, &str); 2] = [(RANK, "r"), (BLOCKS, "n")];

/// A method, or those of its trials that share a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series<'a> {
    /// Name of the method.
    pub method: &'a str,
    /// A column of `trials.csv` and its value; absent is every trial of the method.
    pub setting: Option<(&'a str, &'a str)>,
}

impl<'a> Series<'a> {
    /// All trials of a method.
    pub const fn of(method: &'a str) -> Self {
        Self { method, setting: None }
    }

    /// The trials of a method with a value in a column.
    pub const fn with(method: &'a str, column: &'a str, value: &'a str) -> Self {
        Self { method, setting: Some((column, value)) }
    }

    /// `lora_r4`, the row's name in `paper.toml`.
    pub fn key(&self) -> String {
        self.stated()
            .map_or(self.method.to_owned(), |(letter, value)| format!("{}_{letter}{value}", self.method))
    }

    /// Letter and value of the setting; a trial that leaves the setting out states none.
    fn stated(&self) -> Option<(&'static str, &'a str)> {
        let (column, value) = self.setting.filter(|(_, value)| !value.is_empty())?;
        SETTINGS.iter().find(|(known, _)| *known == column).map(|(_, letter)| (*letter, value))
    }

    fn holds(&self, trials: &Trials, trial: &Trial) -> bool {
        let shared = |(column, value)| trials.text(trial, column) == value;
        trial.method == self.method && self.setting.is_none_or(shared)
    }
}

impl Trials {
    /// The trials of a series.
    pub fn of<'a>(&'a self, series: Series<'a>) -> impl Iterator<Item = &'a Trial> + 'a {
        self.all().iter().filter(move |trial| series.holds(self, trial))
    }

    /// "LoRA r=4": what a series is called beside these trials.
    pub fn title(&self, series: Series) -> String {
        let method = self.method_title(series.method);
        series.stated().map_or(method.to_owned(), |(letter, value)| format!("{method} {letter}={value}"))
    }

    /// Everything that was run, in the order of the legends.
    pub fn series(&self) -> Vec<Series<'_>> {
        self.methods().into_iter().flat_map(|method| self.split(method)).collect()
    }

    /// All series but the bounds, each with the number of larger ranks of its method.
    pub fn trained(&self) -> Vec<(Series<'_>, usize)> {
        let mut series = self.series();
        series.retain(|series| ![NONE, REAL_IMAGES].contains(&series.method));
        let larger = |index: usize, of: &Series| {
            series[index + 1..].iter().filter(|other| other.method == of.method).count()
        };
        series.iter().enumerate().map(|(index, of)| (*of, larger(index, of))).collect()
    }

    /// A series for each rank of a method, smallest first, so that ranks are never averaged; of one rank the method.
    pub fn split<'a>(&'a self, method: &'a str) -> Vec<Series<'a>> {
        for (column, _) in SETTINGS {
            let mut values: Vec<&str> =
                self.of(Series::of(method)).map(|trial| self.text(trial, column)).collect();
            values.sort_by_key(|value| (value.parse::<u64>().unwrap_or(0), *value));
            values.dedup();
            if values.len() > 1 {
                return values.into_iter().map(|value| Series::with(method, column, value)).collect();
            }
        }
        vec![Series::of(method)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_split_where_its_ranks_differ_and_only_there() {
        let rows = "trial_id,status,method,seed,subject,config.method.rank,config.method.blocks,dino\n\
            a,done,lora,0,cat,16,,0.5\nb,done,lora,0,cat,4,,0.6\nc,done,lora,1,cat,4,,0.7\n\
            d,done,dora,0,cat,16,,0.5\ne,done,oft,0,cat,,4,0.5\nf,done,oft,0,cat,,16,0.5\n";
        let trials = crate::testing::trials(rows);
        let series = trials.series();
        let titles: Vec<String> = series.iter().map(|series| trials.title(*series)).collect();
        assert_eq!(titles, ["LoRA r=4", "LoRA r=16", "DoRA", "OFT n=4", "OFT n=16"]);
        let keys: Vec<String> = series.iter().map(Series::key).collect();
        assert_eq!(keys, ["lora_r4", "lora_r16", "dora", "oft_n4", "oft_n16"]);
        let ids = |series| trials.of(series).map(|trial| trial.id.as_str()).collect::<Vec<_>>();
        assert_eq!(ids(series[0]), ["b", "c"]);
        assert_eq!(ids(Series::of("lora")), ["a", "b", "c"]);
        assert_eq!(ids(Series::with("dora", RANK, "16")), ["d"]);
        assert!(ids(Series::with("dora", RANK, "8")).is_empty());
        let larger: Vec<usize> = trials.trained().iter().map(|(_, larger)| *larger).collect();
        assert_eq!(larger, [1, 0, 0, 1, 0]);
        assert_eq!(trials.split("red"), [Series::of("red")], "a method that was not run");
    }

    #[test]
    fn a_rank_that_is_not_stated_has_no_title() {
        let trials = crate::testing::trials("trial_id,status,method,seed\n");
        assert_eq!(trials.title(Series::with("lora", RANK, "")), "LoRA");
        assert_eq!(Series::with("lora", RANK, "").key(), "lora");
    }
}
