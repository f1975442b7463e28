//! Which files of a repository are needed.

use crate::bundles::Files;

/// Names among `names` that `wanted` asks for, in its order, or the first pattern that has none.
pub(crate) fn select(wanted: &[&Files], names: &[String]) -> Result<Vec<String>, String> {
    let mut chosen = Vec::new();
    for files in wanted {
        for name in one(files, names)? {
            if !chosen.contains(&name) {
                chosen.push(name);
            }
        }
    }
    Ok(chosen)
}

fn one(files: &Files, names: &[String]) -> Result<Vec<String>, String> {
    match files {
        Files::Each(pattern) => matching(pattern, names),
        Files::Matching(pattern) => {
            let is_like = |name: &&String| matches(pattern, name, Star::AnyText);
            let found: Vec<String> = names.iter().filter(is_like).cloned().collect();
            if found.is_empty() { Err((*pattern).to_owned()) } else { Ok(found) }
        }
        Files::FirstOf(sets) => {
            let whole = |set: &&[&str]| -> Option<Vec<String>> {
                let found: Result<Vec<_>, _> = set.iter().map(|pattern| matching(pattern, names)).collect();
                Some(found.ok()?.concat())
            };
            let described = || sets.iter().map(|set| set.join(" and ")).collect::<Vec<_>>().join(", nor ");
            sets.iter().find_map(whole).ok_or_else(described)
        }
    }
}

/// Names of this pattern; an error when there are none, or when a part of a numbered series is missing.
fn matching(pattern: &str, names: &[String]) -> Result<Vec<String>, String> {
    let mut found: Vec<String> =
        names.iter().filter(|name| matches(pattern, name, Star::InFolder)).cloned().collect();
    found.sort();
    if found.is_empty() {
        return Err(pattern.to_string());
    }
    match found.iter().find_map(|name| missing_shard(name, names)) {
        Some(missing) => Err(missing),
        None => Ok(found),
    }
}

/// What `*` stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Star {
    AnyText,
    /// Any text without a `/`.
    InFolder,
}

/// Whether `name` is `pattern`.
fn matches(pattern: &str, name: &str, star: Star) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    let end = rest.find('/').filter(|_| star == Star::InFolder).unwrap_or(rest.len());
    let mut ends = (0..=end).filter(|&at| rest.is_char_boundary(at));
    ends.any(|at| matches(after, &rest[at..], star))
}

/// The first absent file of the series that `name`, as in `train-00000-of-00002.parquet`, belongs to.
fn missing_shard(name: &str, names: &[String]) -> Option<String> {
    const DIGITS: usize = 5;
    let at = name.find("-of-")?;
    let number = |start: usize| name.get(start..start + DIGITS)?.parse::<usize>().ok();
    let index_at = at.checked_sub(DIGITS)?;
    let (index, count) = (number(index_at)?, number(at + "-of-".len())?);
    // Parquet files are numbered from 0, the weights of a model from 1.
    let shard = |index: usize| format!("{}{index:05}{}", &name[..index_at], &name[at..]);
    let first =
        if index == count || !names.contains(&shard(0)) && name.ends_with(".safetensors") { 1 } else { 0 };
    (first..first + count).map(shard).find(|shard| !names.contains(shard))
}

#[cfg(test)]
mod tests {
    use super::Files::{Each, FirstOf, Matching};
    use super::*;

    fn selected(wanted: &[Files], names: &[&str]) -> Result<Vec<String>, String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        select(&wanted.iter().collect::<Vec<_>>(), &names)
    }

    #[test]
    fn a_star_stays_within_its_folder() {
        let train = [Each("cola/train-*.parquet")];
        let names = ["cola/train-00000-of-00001.parquet", "cola/train-x/y.parquet", "wcola/train-1.parquet"];
        assert_eq!(selected(&train, &names).unwrap(), [names[0]]);
        assert_eq!(selected(&train, &names[1..]).unwrap_err(), "cola/train-*.parquet");
        let matches = |pattern, name| matches(pattern, name, Star::InFolder);
        assert!(matches("*é*", "aéb") && matches("a*", "a") && !matches("a*b", "a/b"));
    }

    #[test]
    fn a_pattern_of_the_hubs_goes_through_folders() {
        let names = ["a.json", "b/c.json", "b/d.bin"];
        assert_eq!(selected(&[Matching("*")], &names).unwrap(), names);
        assert_eq!(selected(&[Matching("*.json")], &names).unwrap(), names[..2]);
        assert_eq!(selected(&[Matching("b/*"), Matching("*.bin")], &names).unwrap(), names[1..]);
        assert_eq!(selected(&[Matching("*.txt")], &names).unwrap_err(), "*.txt");
    }

    #[test]
    fn the_first_whole_set_is_taken() {
        let tokenizer = [FirstOf(&[&["tokenizer.json"], &["vocab.json", "merges.txt"]])];
        let all = selected(&tokenizer, &["merges.txt", "tokenizer.json", "vocab.json"]);
        assert_eq!(all.unwrap(), ["tokenizer.json"]);
        let two = ["vocab.json", "merges.txt"];
        assert_eq!(selected(&tokenizer, &two).unwrap(), two);
        let error = selected(&tokenizer, &["vocab.json"]).unwrap_err();
        assert_eq!(error, "tokenizer.json, nor vocab.json and merges.txt");
    }

    #[test]
    fn a_series_is_taken_whole_or_not_at_all() {
        let weights = [Each("model-*.safetensors")];
        let [one, two] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        assert_eq!(selected(&weights, &[two, one]).unwrap(), [one, two]);
        assert_eq!(selected(&weights, &[two]).unwrap_err(), one);
        assert_eq!(selected(&weights, &[one]).unwrap_err(), two);
        let train = [Each("train-*.parquet")];
        let [zero, one] = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"];
        assert_eq!(selected(&train, &[zero]).unwrap_err(), one);
        assert_eq!(selected(&train, &[one]).unwrap_err(), zero);
        assert_eq!(selected(&train, &[zero, one]).unwrap(), [zero, one]);
    }
}
