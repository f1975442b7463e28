//! The claim ledger, `experiments/claims.toml`: what the paper prints and states, and the test that decides each.
//!
//! Every entry says where in the paper it stands. It is either `not_attempted`, with the reason, or names the
//! experiment that decides it and a test:
//!
//! | `kind`        | holds when                                                            | keys |
//! |---------------|-----------------------------------------------------------------------|------|
//! | `above`       | `method` is above `than` on `metric`, paired over seeds and subjects  | `at`, `than_at` |
//! | `similar`     | the paired difference lies within the margin                          | the same, `within` or `within_share` |
//! | `not_below`   | the paired difference is above minus the margin: at worst that much worse | as `similar` |
//! | `width_above` | `method` keeps its score over a wider range of learning rates         | `than` |
//! | `curve_above` | `method` has the better mean score over all learning rates            | `than` |
//! | `growing`     | the distance of `method` still grows in the last third of training    | |
//! | `flat`        | it grows by less than `within_share` of its end value per 100 steps   | `within_share` |
//! | `number`      | the mean lies `within` of the `paper`'s; judged at scale `paper` only | `at`, `paper`, `within` |
//!
//! A claimed difference is refuted by less than the smallest that matters too: the *margin* of its metric, which
//! `[margin.<metric>]` states with its reason, as `[margin.width]`, `[margin.slope]` for what is no metric.
//!
//! `at` and `than_at` restrict a side to trials with these settings, as in `at = { learning_rate_multiplier = 4 }`; of
//! a list any of its values, each of which counts alike in a `number`.
//! `differs` says in what our experiment differs from the paper's; it stands beside a verdict that is not the paper's.
//! What is unknown, missing or out of place is an error with file and line.

use std::collections::BTreeMap;
use std::path::Path;

use results::sweep::DINO;
use results::{METRICS, metric};
use serde::Deserialize;
use toml::Spanned;

use crate::compare::Side;
use crate::error::{DecideError, Result};
use crate::hypothesis::{Claimed, Hypothesis, Margin};

/// What the ledger holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    pub claims: Vec<Claim>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    pub id: String,
    /// Where in the paper, as in "Table 1".
    pub place: String,
    pub statement: String,
    /// In what our experiment differs from the paper's, said beside a verdict that is not the paper's.
    pub differs: Option<String>,
    pub decided: Decided,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Decided {
    /// By nothing yet, and why.
    NotAttempted(String),
    By {
        experiment: String,
        test: Test,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    Compared { side: Side, than: Side, metric: String, hypothesis: Hypothesis },
    WidthAbove { method: String, than: String, margin: Margin },
    CurveAbove { method: String, than: String, margin: Margin },
    Growing { method: String, margin: Margin },
    Flat { method: String, share: f64 },
    Number { side: Side, paper: Vec<(String, f64)>, within: f64 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    margin: BTreeMap<String, MarginKeys>,
    #[serde(default)]
    claim: Vec<Entry>,
}

/// The smallest difference of a metric that matters, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarginKeys {
    within: Option<f64>,
    within_share: Option<f64>,
    reason: Spanned<String>,
}

type Margins = BTreeMap<String, Margin>;

/// What is no metric and has a margin.
const OTHERS: [&str; 2] = [WIDTH, SLOPE];
const WIDTH: &str = "width";
const SLOPE: &str = "slope";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Spanned<String>,
    #[serde(rename = "where")]
    place: String,
    statement: String,
    differs: Option<String>,
    not_attempted: Option<String>,
    experiment: Option<String>,
    test: Option<Keys>,
}

/// Every key that some kind of test has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    kind: Spanned<String>,
    method: Option<String>,
    at: Option<BTreeMap<String, toml::Value>>,
    than: Option<String>,
    than_at: Option<BTreeMap<String, toml::Value>>,
    metric: Option<String>,
    within: Option<f64>,
    within_share: Option<f64>,
    paper: Option<BTreeMap<String, f64>>,
}

impl Ledger {
    /// Reads the file; what is unknown, missing or out of place is an error with file and line.
    pub fn load(path: &Path) -> Result<Self> {
        let text = results::read(path, "--claims names the claim ledger")?;
        let claims = parse(&text).map_err(|(line, message)| DecideError::Claims {
            path: path.to_path_buf(),
            line,
            message,
        })?;
        Ok(Self { claims })
    }
}

impl Claim {
    /// The table or figure that the claim is of, as in "Table 1": decisions on its claims are corrected together.
    pub fn family(&self) -> &str {
        self.place.split(',').next().unwrap_or_default().trim()
    }
}

/// Line and message of the first mistake, if there is one.
fn parse(text: &str) -> std::result::Result<Vec<Claim>, (usize, String)> {
    let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let file: File = toml::from_str(text).map_err(|error| {
        (line(error.span().map_or(0, |span| span.start)), error.message().replace('\n', " "))
    })?;
    let mut margins = Margins::new();
    for (name, keys) in file.margin {
        let margin = keys.margin(&name).map_err(|message| (line(keys.reason.span().start), message))?;
        margins.insert(name, margin);
    }
    let mut claims: Vec<Claim> = Vec::new();
    for entry in file.claim {
        let at = line(entry.id.span().start);
        if claims.iter().any(|claim| claim.id == *entry.id.get_ref()) {
            return Err((at, format!("claim `{}` stands twice; each id is used once", entry.id.get_ref())));
        }
        let test_at = entry.test.as_ref().map_or(at, |test| line(test.kind.span().start));
        claims.push(
            claim(entry, &margins)
                .map_err(|(in_test, message)| (if in_test { test_at } else { at }, message))?,
        );
    }
    Ok(claims)
}

/// The claim, or its mistake and whether that is in the test.
fn claim(entry: Entry, margins: &Margins) -> std::result::Result<Claim, (bool, String)> {
    let Entry { id, place, statement, differs, not_attempted, experiment, test } = entry;
    let id = id.into_inner();
    let decided = match (not_attempted, experiment, test) {
        (Some(reason), None, None) if !reason.trim().is_empty() => Decided::NotAttempted(reason),
        (None, Some(experiment), Some(keys)) => Decided::By {
            experiment,
            test: keys.test(margins).map_err(|message| (true, format!("claim `{id}`: {message}")))?,
        },
        _ => {
            let message = format!(
                "claim `{id}` needs either `not_attempted` with a reason, or `experiment` and `test`, and not both"
            );
            return Err((false, message));
        }
    };
    Ok(Claim { id, place, statement, differs, decided })
}

type Checked<T> = std::result::Result<T, String>;

impl MarginKeys {
    fn margin(&self, name: &str) -> Checked<Margin> {
        if !OTHERS.contains(&name) {
            known_metric(Some(name.to_owned()), "margin")?;
        }
        if self.reason.get_ref().trim().is_empty() {
            return Err(format!("`reason` of margin `{name}` is empty; say why less does not matter"));
        }
        margin(self.within, self.within_share, "margin")
    }
}

/// The margin of a metric, or of what is none.
fn margin_of(margins: &Margins, name: &str) -> Checked<Margin> {
    margins.get(name).copied().ok_or_else(|| {
        format!("no `[margin.{name}]`; state the smallest difference that matters, with its reason")
    })
}

impl Keys {
    fn test(self, margins: &Margins) -> Checked<Test> {
        let kind = self.kind.get_ref().clone();
        let allowed = allowed(&kind)?;
        if let Some(stray) = self.given().into_iter().find(|key| !allowed.contains(key)) {
            return Err(format!("a test of kind `{kind}` has no key `{stray}`; it has {}", quoted(allowed)));
        }
        let method = needed(self.method, &kind, "method")?;
        let side = Side { method: method.clone(), at: restricted(self.at)? };
        let (within, share) = (self.within, self.within_share);
        Ok(match kind.as_str() {
            "above" | "similar" | "not_below" => {
                let metric = known_metric(self.metric, &kind)?;
                let (claimed, margin) = match kind.as_str() {
                    "above" => (Claimed::Above, margin_of(margins, &metric)?),
                    "similar" => (Claimed::Alike, margin(within, share, &kind)?),
                    _ => (Claimed::NotBelow, margin(within, share, &kind)?),
                };
                let than = Side { method: needed(self.than, &kind, "than")?, at: restricted(self.than_at)? };
                Test::Compared { side, than, metric, hypothesis: Hypothesis { claimed, margin } }
            }
            "width_above" => Test::WidthAbove {
                method,
                than: needed(self.than, &kind, "than")?,
                margin: margin_of(margins, WIDTH)?,
            },
            "curve_above" => Test::CurveAbove {
                method,
                than: needed(self.than, &kind, "than")?,
                margin: margin_of(margins, DINO)?,
            },
            "growing" => Test::Growing { method, margin: margin_of(margins, SLOPE)? },
            "flat" => Test::Flat {
                method,
                share: positive(needed(self.within_share, &kind, "within_share")?, "within_share")?,
            },
            _ => {
                let paper = needed(self.paper, &kind, "paper")?;
                for name in paper.keys() {
                    known_metric(Some(name.clone()), &kind)?;
                }
                let mut paper: Vec<(String, f64)> = paper.into_iter().collect();
                paper.sort_by_key(|(name, _)| METRICS.iter().position(|known| known.name == name));
                Test::Number {
                    side,
                    paper,
                    within: positive(needed(self.within, &kind, "within")?, "within")?,
                }
            }
        })
    }

    /// Names of the keys that are there.
    fn given(&self) -> Vec<&'static str> {
        let present = [
            ("method", self.method.is_some()),
            ("at", self.at.is_some()),
            ("than", self.than.is_some()),
            ("than_at", self.than_at.is_some()),
            ("metric", self.metric.is_some()),
            ("within", self.within.is_some()),
            ("within_share", self.within_share.is_some()),
            ("paper", self.paper.is_some()),
        ];
        present.into_iter().filter_map(|(key, given)| given.then_some(key)).collect()
    }
}

/// Keys of a kind of test.
fn allowed(kind: &str) -> Checked<&'static [&'static str]> {
    Ok(match kind {
        "above" => &["method", "at", "than", "than_at", "metric"],
        "similar" | "not_below" => &["method", "at", "than", "than_at", "metric", "within", "within_share"],
        "width_above" | "curve_above" => &["method", "than"],
        "growing" => &["method"],
        "flat" => &["method", "within_share"],
        "number" => &["method", "at", "paper", "within"],
        _ => {
            return Err(format!(
                "kind `{kind}` is not known; known are `above`, `similar`, `not_below`, `width_above`, `curve_above`, `growing`, `flat`, `number`"
            ));
        }
    })
}

fn needed<T>(value: Option<T>, kind: &str, key: &str) -> Checked<T> {
    value.ok_or_else(|| format!("a test of kind `{kind}` needs the key `{key}`"))
}

fn known_metric(name: Option<String>, kind: &str) -> Checked<String> {
    let name = needed(name, kind, "metric")?;
    if metric(&name).is_some() {
        return Ok(name);
    }
    let known: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    Err(format!("metric `{name}` is not known; known are {}", quoted(&known)))
}

fn margin(within: Option<f64>, share: Option<f64>, kind: &str) -> Checked<Margin> {
    match (within, share) {
        (Some(within), None) => Ok(Margin::Absolute(positive(within, "within")?)),
        (None, Some(share)) => Ok(Margin::Share(positive(share, "within_share")?)),
        _ => Err(format!("a test of kind `{kind}` needs one of `within` and `within_share`")),
    }
}

fn positive(value: f64, key: &str) -> Checked<f64> {
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(format!("`{key}` is {value}; it must be above 0"))
}

fn restricted(at: Option<BTreeMap<String, toml::Value>>) -> Checked<Vec<(String, Vec<String>)>> {
    let text = |key: &str, value: toml::Value| match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        other => Err(format!("setting `{key}` is compared with {other}; numbers and texts can be compared")),
    };
    let values = |(key, value): (String, toml::Value)| {
        let values = match value {
            toml::Value::Array(values) if !values.is_empty() => values,
            other => vec![other],
        };
        let values = values.into_iter().map(|value| text(&key, value)).collect::<Checked<_>>()?;
        Ok((key, values))
    };
    at.unwrap_or_default().into_iter().map(values).collect()
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARGIN: &str = "[margin.dino]\nwithin = 0.02\nreason = \"so\"\n";
    const GOOD: &str = include_str!("../tests/data/good_claims.toml");

    #[test]
    fn entries_are_read_in_order() {
        let claims = parse(GOOD).unwrap();
        assert_eq!((claims[0].id.as_str(), claims[1].place.as_str()), ("a", "Table 5"));
        let Decided::By { experiment, test: Test::Compared { side, than, metric, .. } } = &claims[0].decided
        else {
            panic!("{:?}", claims[0].decided)
        };
        assert_eq!(
            (experiment.as_str(), side.method.as_str(), metric.as_str()),
            ("table1", "delora", "dino")
        );
        assert_eq!(than.at, [("learning_rate_multiplier".to_owned(), vec!["4".to_owned()])]);
        assert_eq!(claims.iter().map(|claim| claim.differs.is_some()).collect::<Vec<_>>(), [true, false]);
        assert_eq!(claims[1].decided, Decided::NotAttempted("no language model here".to_owned()));
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let entry = |test: &str| {
            format!(
                "{MARGIN}\n[[claim]]\nid = \"a\"\nwhere = \"x\"\nstatement = \"y\"\nexperiment = \"e\"\ntest = {{ {test} }}\n"
            )
        };
        let above = "kind = \"above\", method = \"a\", than = \"b\"";
        let cases = [
            (entry("kind = \"best\""), 10, "kind `best` is not known"),
            (entry(above), 10, "needs the key `metric`"),
            (entry(&format!("{above}, metric = \"dyno\"")), 10, "metric `dyno` is not known"),
            (entry(&format!("{above}, metric = \"dino\", within = 1.0")), 10, "has no key `within`"),
            (
                entry(&format!("{above}, metric = \"dino\", at = {{ x = [1, []] }}")),
                10,
                "setting `x` is compared with []",
            ),
            (entry(&format!("{above}, metrik = \"dino\"")), 10, "unknown field `metrik`"),
            (entry("kind = \"flat\", method = \"a\", within_share = -1.0"), 10, "must be above 0"),
            (
                entry("kind = \"similar\", method = \"a\", than = \"b\", metric = \"dino\""),
                10,
                "needs one of `within`",
            ),
            (entry("kind = \"number\", method = \"a\", paper = { dyno = 1.0 }, within = 0.1"), 10, "`dyno`"),
            (format!("{GOOD}[[claim]]\nid = \"a\"\nwhere = \"\"\nstatement = \"\"\n"), 19, "stands twice"),
            (GOOD.replace("not_attempted", "experiment"), 14, "needs either `not_attempted`"),
            (GOOD.replace("where = \"Table 5\"", "were = \"Table 5\""), 15, "unknown field `were`"),
            (GOOD.replace("id = \"b\"", "id = b"), 14, "string values must be quoted"),
            (entry(&format!("{above}, metric = \"mmlu\"")), 10, "no `[margin.mmlu]`"),
            (entry("kind = \"width_above\", method = \"a\", than = \"b\""), 10, "no `[margin.width]`"),
            (MARGIN.replace("dino", "dyno"), 3, "metric `dyno` is not known"),
            (MARGIN.replace("\"so\"", "\"\""), 3, "`reason` of margin `dino` is empty"),
            (MARGIN.replace("0.02", "0.0"), 3, "must be above 0"),
        ];
        for (text, line, message) in cases {
            let (found, said) = parse(&text).unwrap_err();
            assert!(said.contains(message), "{said}");
            assert_eq!(found, line, "{said} in {text}");
        }
    }

    #[test]
    fn the_message_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claims.toml");
        std::fs::write(&path, "[[claim]]\nid = 1\n").unwrap();
        let message = Ledger::load(&path).unwrap_err().to_string();
        assert!(message.contains("claims.toml`, line 2:"), "{message}");
    }
}
