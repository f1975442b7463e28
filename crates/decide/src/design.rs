//! What is written before the first trial that is to decide: statements, margins, levels, and when the data are looked at.

use std::collections::BTreeSet;
use std::path::Path;

use results::{Status, Trial, Trials};
use serde::{Deserialize, Serialize};

use crate::claims::{Claim, Decided, Ledger, Test};
use crate::error::{DecideError, Result};

/// Its name in a folder of results.
pub const DESIGN_FILE: &str = "design.toml";
/// The probability of any false decision in a table or figure.
const LEVEL: f64 = 0.05;

/// A planned look at the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// How many values of the axis have all of their trials.
    pub first: usize,
    /// The level of the decisions that are made at this look.
    pub level: f64,
}

/// A statement that the design is to decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registered {
    pub id: String,
    /// The table or figure that it is corrected with.
    pub family: String,
    /// Its test with its margin, in words.
    pub test: String,
}

/// The design of an experiment's confirmatory trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Design {
    pub experiment: String,
    pub scale: String,
    /// When it was written, and by which commit.
    pub written: String,
    pub commit: String,
    /// Along which axis trials are added: `subject`, or `seed`.
    pub along: String,
    /// Its values in the order in which they run.
    pub values: Vec<String>,
    /// How many trials each value has.
    pub trials_per_value: usize,
    pub looks: Vec<Look>,
    pub statement: Vec<Registered>,
}

/// The levels of looks at so many values: their sum is 0.05, and they grow with the square of the share of all values that a look
/// adds, as the power family of spending functions does (Kim and DeMets 1987, ρ = 2). That they sum to the level bounds the
/// probability of a false decision at any look, whatever the dependence between looks (Bonferroni).
pub fn look_levels(units: &[usize]) -> Vec<Look> {
    let all = units.last().copied().unwrap_or_default() as f64;
    let spent = |units: usize| LEVEL * (units as f64 / all).powi(2);
    let before = std::iter::once(0).chain(units.iter().copied());
    let look =
        |(before, units): (usize, &usize)| Look { first: *units, level: spent(*units) - spent(before) };
    before.zip(units).map(look).collect()
}

impl Design {
    /// The design of a folder of results; none where there is no such file.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(DESIGN_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let fail = |message: String| DecideError::Design { path: path.clone(), message };
        let design: Self = toml::from_str(&results::read(&path, "it was there a moment ago")?)
            .map_err(|error| fail(error.message().to_owned()))?;
        let grows = design.looks.windows(2).all(|pair| pair[0].first < pair[1].first);
        let is_last_whole = design.looks.last().is_some_and(|look| look.first == design.values.len());
        if !grows || !is_last_whole {
            return Err(fail(
                "`looks` must grow in `first`, and the last must have all of `values`".to_owned(),
            ));
        }
        if design.looks.iter().map(|look| look.level).sum::<f64>() > LEVEL + 1e-9 {
            return Err(fail(format!("the levels of its looks sum to more than {LEVEL}")));
        }
        Ok(Some(design))
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let body = toml::to_string(self).expect("a design has no key after a table");
        format!(
            "# Written by `delora decide` before the first trial of this folder. See docs/statistics.md.\n{body}"
        )
    }

    /// Whether another design would decide the same by the same trials: all but when it was written.
    pub fn is_same(&self, other: &Self) -> bool {
        let undated =
            |design: &Self| Self { written: String::new(), commit: String::new(), ..design.clone() };
        undated(self) == undated(other)
    }

    /// The statements of an experiment in the ledger that a test of ours can decide.
    pub fn statements(ledger: &Ledger, experiment: &str) -> Vec<Registered> {
        let of = |claim: &Claim| match &claim.decided {
            Decided::By { experiment: of, test } if of == experiment => Some(Registered {
                id: claim.id.clone(),
                family: claim.family().to_owned(),
                test: test.text()?,
            }),
            _ => None,
        };
        ledger.claims.iter().filter_map(of).collect()
    }

    /// Whether it has a statement with this test.
    pub fn has(&self, id: &str, test: &Test) -> bool {
        let text = test.text();
        self.statement.iter().any(|statement| statement.id == id && Some(&statement.test) == text.as_ref())
    }

    /// Whether a trial is of one of the first values.
    pub fn is_of_first(&self, trial: &Trial, first: usize) -> bool {
        let value = if self.along == "seed" { &trial.seed } else { &trial.subject };
        self.values[..first].contains(value)
    }

    /// The looks that can be taken: those whose values have all of their trials; a failed one is still to be run.
    pub fn taken(&self, trials: &Trials) -> Vec<Look> {
        let is_whole = |look: &&Look| {
            let is_over =
                |trial: &&Trial| trial.status != Status::Failed && self.is_of_first(trial, look.first);
            let of = trials.all().iter().filter(is_over);
            let ids: BTreeSet<&str> = of.map(|trial| trial.id.as_str()).collect();
            ids.len() >= self.trials_per_value * look.first
        };
        self.looks.iter().take_while(is_whole).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn design() -> Design {
        Design {
            experiment: "a".to_owned(),
            scale: "mini".to_owned(),
            written: "2026-01-31 12:00 UTC".to_owned(),
            commit: "c".to_owned(),
            along: "subject".to_owned(),
            values: ["cat", "dog", "vase"].map(str::to_owned).to_vec(),
            trials_per_value: 2,
            looks: look_levels(&[2, 3]),
            statement: vec![Registered { id: "s".into(), family: "Table 1".into(), test: "t".into() }],
        }
    }

    #[test]
    fn levels_sum_to_five_percent_and_grow_with_the_square_of_the_share() {
        let looks = look_levels(&[10, 20, 30]);
        let levels: Vec<f64> = looks.iter().map(|look| look.level).collect();
        assert!((levels.iter().sum::<f64>() - 0.05).abs() < 1e-12);
        assert!((levels[0] - 0.05 / 9.0).abs() < 1e-12 && (levels[2] - 0.05 * 5.0 / 9.0).abs() < 1e-12);
    }

    #[test]
    fn a_design_is_read_as_it_was_written_and_a_changed_one_is_another() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Design::read(folder.path()).unwrap(), None);
        let path = folder.path().join(DESIGN_FILE);
        std::fs::write(&path, design().text()).unwrap();
        let found = Design::read(folder.path()).unwrap().unwrap();
        assert_eq!(found, design());
        assert!(found.is_same(&Design { written: "later".to_owned(), ..design() }));
        assert!(!found.is_same(&Design { trials_per_value: 3, ..design() }));
        for (changed, message) in [
            (Design { looks: look_levels(&[2]), ..design() }, "the last must have all"),
            (Design { looks: vec![Look { first: 3, level: 0.06 }], ..design() }, "sum to more than 0.05"),
        ] {
            std::fs::write(&path, changed.text()).unwrap();
            let said = Design::read(folder.path()).unwrap_err().to_string();
            assert!(said.contains("design.toml` is no design") && said.contains(message), "{said}");
        }
        std::fs::write(&path, design().text().replace("along =", "alongs =")).unwrap();
        let said = Design::read(folder.path()).unwrap_err().to_string();
        assert!(said.contains("alongs"), "{said}");
    }

    #[test]
    fn a_look_is_taken_when_its_values_have_all_of_their_trials() {
        let folder = tempfile::tempdir().unwrap();
        let taken = |rows: &[&str]| {
            let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
            let text = format!("trial_id,status,method,seed,subject,dino\n{rows}");
            std::fs::write(folder.path().join("trials.csv"), text).unwrap();
            design().taken(&Trials::read_all(folder.path()).unwrap()).len()
        };
        let cats = ["a,done,lora,0,cat,0.5", "b,diverged,lora,1,cat,"];
        let dogs = ["c,done,lora,0,dog,0.5", "d,done,lora,1,dog,0.5"];
        let vases = ["e,done,lora,0,vase,0.5", "f,done,lora,1,vase,0.5"];
        assert_eq!(taken(&cats), 0);
        assert_eq!(taken(&[cats, dogs].concat()), 1);
        assert_eq!(taken(&[cats, vases].concat()), 0, "the values of the look, not any two");
        assert_eq!(taken(&[cats, dogs, vases].concat()), 2);
    }
}
