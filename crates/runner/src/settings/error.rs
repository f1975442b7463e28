//! A setting that cannot be used, and what may have been meant.

/// A setting that cannot be used. The runner adds file and line of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct SettingError {
    /// Path in the resolved config, as in `method.rank`.
    pub key: String,
    /// What was found and what would be right.
    pub message: String,
}

impl SettingError {
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> SettingError {
        SettingError { key: key.into(), message: message.into() }
    }

    /// A key that is none of `known`, with the closest of them.
    pub fn unknown_key(key: impl Into<String>, known: &[&str]) -> SettingError {
        let key = key.into();
        let last = key.rsplit('.').next().unwrap_or_default().to_string();
        SettingError { message: unknown("key", &last, known), key }
    }

    /// A name that is none of `known`, with the closest of them; `what` says of what, as in "method".
    pub fn unknown_name(key: impl Into<String>, what: &str, name: &str, known: &[&str]) -> SettingError {
        let message = format!("`{name}`: {}", unknown(what, name, known));
        SettingError { key: key.into(), message }
    }

    /// The same error, its key taken relative to `prefix`.
    pub fn under(mut self, prefix: &str) -> SettingError {
        self.key = if self.key.is_empty() { prefix.to_string() } else { format!("{prefix}.{}", self.key) };
        self
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match closest(name, known) {
        Some(close) => format!("unknown {what}; did you mean `{close}`?"),
        None if known.is_empty() => format!("unknown {what}; none is allowed here"),
        None => format!("unknown {what}; known: {}", known.join(", ")),
    }
}

/// The name in `known` that is a typing error away from `name`.
pub fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = 1 + name.chars().count() / 4;
    let scored = known.iter().map(|candidate| (edit_distance(name, candidate), *candidate));
    scored
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Edits that turn `left` into `right`, a swap of neighbours counting as one (optimal string alignment).
fn edit_distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let substitute = rows[i][j] + usize::from(a != b);
            let mut best = substitute.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_names_are_listed_instead_of_guessed() {
        assert_eq!(closest("delroa", &["lora", "delora", "dora"]), Some("delora"));
        assert_eq!(closest("xyz", &["lora", "delora"]), None);
        let error = SettingError::unknown_name("method", "method", "xyz", &["lora", "delora"]);
        assert_eq!(error.to_string(), "method: `xyz`: unknown method; known: lora, delora");
    }
}
