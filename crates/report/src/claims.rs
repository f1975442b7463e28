//! The claim ledger, `experiments/claims.toml`: what the paper prints and states, and the test that decides each.
//!
//! Every entry says where in the paper it stands. It is either `not_attempted`, with the reason, or names the
//! experiment that decides it and a test:
//!
//! | `kind`        | holds when                                                            | keys |
//! |---------------|-----------------------------------------------------------------------|------|
//! | `above`       | `method` is above `than` on `metric`, paired over seeds and subjects  | `at`, `than_at` |
//! | `similar`     | the paired difference lies within a margin                            | the same, `within` or `within_share` |
//! | `not_below`   | the paired difference is above minus the margin: at worst that much worse | as `similar` |
//! | `width_above` | `method` keeps its score over a wider range of learning rates         | `than` |
//! | `growing`     | the distance of `method` still grows in the last third of training    | |
//! | `flat`        | it grows by less than `within_share` of its end value per 100 steps   | `within_share` |
//! | `number`      | the mean lies `within` of the `paper`'s; judged at scale `paper` only | `at`, `paper`, `within` |
//!
//! `at` and `than_at` restrict a side to trials with these settings, as in `at = { learning_rate_multiplier = 4 }`; of
//! a list any of its values, each of which counts alike in a `number`.
//! What is unknown, missing or out of place is an error with file and line.

use std::collections::BTreeMap;
use std::path::Path;

use results::{METRICS, metric};
use serde::Deserialize;
use toml::Spanned;

use crate::error::{ReportError, Result, read};

#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    pub id: String,
    /// Where in the paper, as in "Table 1".
    pub place: String,
    pub statement: String,
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

/// Trials of a method, all or those with certain settings (a key path of the config and the values it may have).
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    pub method: String,
    pub at: Vec<(String, Vec<String>)>,
}

/// How far apart two things may be and still count as alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Margin {
    Absolute(f64),
    /// A share of the mean that is compared with.
    Share(f64),
}

/// When a comparison of two sides holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Holds {
    Above,
    /// The difference lies within the margin.
    Within(Margin),
    /// It is at worst the margin below.
    NotBelow(Margin),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    Compared { side: Side, than: Side, metric: String, holds: Holds },
    WidthAbove { method: String, than: String },
    Growing { method: String },
    Flat { method: String, share: f64 },
    Number { side: Side, paper: Vec<(String, f64)>, within: f64 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    claim: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Spanned<String>,
    #[serde(rename = "where")]
    place: String,
    statement: String,
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

/// The entries of the ledger, in its order.
pub fn load(path: &Path) -> Result<Vec<Claim>> {
    parse(&read(path, "--claims names the claim ledger")?).map_err(|(line, message)| ReportError::Claims {
        path: path.to_path_buf(),
        line,
        message,
    })
}

/// Line and message of the first mistake, if there is one.
fn parse(text: &str) -> std::result::Result<Vec<Claim>, (usize, String)> {
    let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let file: File = toml::from_str(text).map_err(|error| {
        (line(error.span().map_or(0, |span| span.start)), error.message().replace('\n', " "))
    })?;
    let mut claims: Vec<Claim> = Vec::new();
    for entry in file.claim {
        let at = line(entry.id.span().start);
        if claims.iter().any(|claim| claim.id == *entry.id.get_ref()) {
            return Err((at, format!("claim `{}` stands twice; each id is used once", entry.id.get_ref())));
        }
        let test_at = entry.test.as_ref().map_or(at, |test| line(test.kind.span().start));
        claims
            .push(claim(entry).map_err(|(in_test, message)| (if in_test { test_at } else { at }, message))?);
    }
    Ok(claims)
}

/// The claim, or its mistake and whether that is in the test.
fn claim(entry: Entry) -> std::result::Result<Claim, (bool, String)> {
    let id = entry.id.into_inner();
    let decided = match (entry.not_attempted, entry.experiment, entry.test) {
        (Some(reason), None, None) if !reason.trim().is_empty() => Decided::NotAttempted(reason),
        (None, Some(experiment), Some(keys)) => Decided::By {
            experiment,
            test: keys.test().map_err(|message| (true, format!("claim `{id}`: {message}")))?,
        },
        _ => {
            let message = format!(
                "claim `{id}` needs either `not_attempted` with a reason, or `experiment` and `test`, and not both"
            );
            return Err((false, message));
        }
    };
    Ok(Claim { id, place: entry.place, statement: entry.statement, decided })
}

type Checked<T> = std::result::Result<T, String>;

impl Keys {
    fn test(self) -> Checked<Test> {
        let kind = self.kind.get_ref().clone();
        let allowed = allowed(&kind)?;
        if let Some(stray) = self.given().into_iter().find(|key| !allowed.contains(key)) {
            return Err(format!("a test of kind `{kind}` has no key `{stray}`; it has {}", quoted(allowed)));
        }
        let method = needed(self.method, &kind, "method")?;
        let side = Side { method: method.clone(), at: restricted(self.at)? };
        let (within, share) = (self.within, self.within_share);
        Ok(match kind.as_str() {
            "above" | "similar" | "not_below" => Test::Compared {
                side,
                than: Side { method: needed(self.than, &kind, "than")?, at: restricted(self.than_at)? },
                metric: known_metric(self.metric, &kind)?,
                holds: match kind.as_str() {
                    "above" => Holds::Above,
                    "similar" => Holds::Within(margin(within, share, &kind)?),
                    _ => Holds::NotBelow(margin(within, share, &kind)?),
                },
            },
            "width_above" => Test::WidthAbove { method, than: needed(self.than, &kind, "than")? },
            "growing" => Test::Growing { method },
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
        "width_above" => &["method", "than"],
        "growing" => &["method"],
        "flat" => &["method", "within_share"],
        "number" => &["method", "at", "paper", "within"],
        _ => {
            return Err(format!(
                "kind `{kind}` is not known; known are `above`, `similar`, `not_below`, `width_above`, `growing`, `flat`, `number`"
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
        assert_eq!(claims[1].decided, Decided::NotAttempted("no language model here".to_owned()));
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let entry = |test: &str| {
            format!(
                "\n[[claim]]\nid = \"a\"\nwhere = \"x\"\nstatement = \"y\"\nexperiment = \"e\"\ntest = {{ {test} }}\n"
            )
        };
        let above = "kind = \"above\", method = \"a\", than = \"b\"";
        let cases = [
            (entry("kind = \"best\""), 7, "kind `best` is not known"),
            (entry(above), 7, "needs the key `metric`"),
            (entry(&format!("{above}, metric = \"dyno\"")), 7, "metric `dyno` is not known"),
            (entry(&format!("{above}, metric = \"dino\", within = 1.0")), 7, "has no key `within`"),
            (
                entry(&format!("{above}, metric = \"dino\", at = {{ x = [1, []] }}")),
                7,
                "setting `x` is compared with []",
            ),
            (entry(&format!("{above}, metrik = \"dino\"")), 7, "unknown field `metrik`"),
            (entry("kind = \"flat\", method = \"a\", within_share = -1.0"), 7, "must be above 0"),
            (
                entry("kind = \"similar\", method = \"a\", than = \"b\", metric = \"dino\""),
                7,
                "needs one of `within`",
            ),
            (entry("kind = \"number\", method = \"a\", paper = { dyno = 1.0 }, within = 0.1"), 7, "`dyno`"),
            (format!("{GOOD}[[claim]]\nid = \"a\"\nwhere = \"\"\nstatement = \"\"\n"), 15, "stands twice"),
            (GOOD.replace("not_attempted", "experiment"), 10, "needs either `not_attempted`"),
            (GOOD.replace("where = \"Table 5\"", "were = \"Table 5\""), 11, "unknown field `were`"),
            (GOOD.replace("id = \"b\"", "id = b"), 10, "string values must be quoted"),
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
        let message = load(&path).unwrap_err().to_string();
        assert!(message.contains("claims.toml`, line 2:"), "{message}");
    }
}
