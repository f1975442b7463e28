//! Which subjects an experiment asks for.

use std::path::{Path, PathBuf};

use anyhow::Result;
use runner::SettingError;
use serde::Deserialize;
use serde_json::Value;

use crate::subject::settings::SubjectSettings;
use crate::subject::subjects::{self, CLASSES_FILE};

/// `subject = { first = 3 }`, `{ without = ["cat2"] }`, `{ names = ["cat2"] }` or `{ folder = "my_dog", class = "dog" }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    #[serde(default)]
    first: Option<usize>,
    #[serde(default)]
    skip: usize,
    /// Those that others have used, as a search does.
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    folder: Option<PathBuf>,
    #[serde(default)]
    class: Option<String>,
    #[serde(default)]
    live: Option<bool>,
}

impl Selection {
    /// The subjects: those of the folder, else of the names, else as many as are asked for of the data folder's, all of which are there. Errors: fewer than are asked for.
    pub fn subjects(self, config: &Value) -> Result<Vec<SubjectSettings>> {
        if let Some(folder) = self.folder {
            let Some(class) = self.class else {
                let message = "missing: the word for what the pictures show";
                return Err(SettingError::new("subject.class", message).into());
            };
            let last = folder.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = self.name.or(last).unwrap_or_else(|| class.clone());
            return Ok(vec![SubjectSettings { name, class, folder: Some(folder), live: self.live }]);
        }
        let Some(data) = config.get("data").and_then(Value::as_str) else {
            return Err(SettingError::new("data", "missing: a folder in DreamBooth's layout").into());
        };
        let data = Path::new(data);
        match self.names.or(self.name.map(|name| vec![name])) {
            Some(names) => named(data, &names),
            None => counted(data, &self.without, self.skip, self.first),
        }
    }
}

/// The subjects of these names.
fn named(data: &Path, names: &[String]) -> Result<Vec<SubjectSettings>> {
    let all = subjects::list(data)?;
    let known: Vec<&str> = all.iter().map(|subject| subject.name.as_str()).collect();
    let one = |name: &String| {
        let found = all.iter().find(|subject| subject.name == *name).cloned();
        found.ok_or_else(|| SettingError::unknown_name("subject.names", "subject", name, &known).into())
    };
    if let Some(twice) = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        return Err(SettingError::new("subject.names", format!("`{}` stands twice", twice.1)).into());
    }
    names.iter().map(one).collect()
}

/// `first` subjects after `skip`, in the order of the data folder's file and not counting those `without`; without `first` all
/// others.
fn counted(
    data: &Path,
    without: &[String],
    skip: usize,
    first: Option<usize>,
) -> Result<Vec<SubjectSettings>> {
    let mut all = subjects::listed(data)?;
    let known: Vec<&str> = all.iter().map(|subject| subject.name.as_str()).collect();
    if let Some(name) = without.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(SettingError::unknown_name("subject.without", "subject", name, &known).into());
    }
    all.retain(|subject| !without.contains(&subject.name));
    let file = data.join(CLASSES_FILE);
    let count = first.unwrap_or_else(|| all.len().saturating_sub(skip).max(1));
    if skip.saturating_add(count) > all.len() {
        let key = if first.is_some() { "subject.first" } else { "subject.skip" };
        let wanted = first.map_or(String::new(), |first| format!("{first} after "));
        let others = if without.is_empty() { "" } else { " besides those of `without`" };
        let message =
            format!("found {wanted}{skip} skipped; {} names {} subjects{others}", file.display(), all.len());
        return Err(SettingError::new(key, message).into());
    }
    let chosen: Vec<SubjectSettings> = all.into_iter().skip(skip).take(count).collect();
    let absent: Vec<&str> =
        chosen.iter().map(|own| own.name.as_str()).filter(|name| !data.join(name).is_dir()).collect();
    // Whoever asks for a number gets it; whoever asks for all means every folder.
    let unlisted = if first.is_none() { subjects::unlisted(data)? } else { Vec::new() };
    let mut problems = Vec::new();
    if !absent.is_empty() {
        problems.push(format!("names {}, and there is no such folder beside it", absent.join(", ")));
    }
    if !unlisted.is_empty() {
        problems.push(format!("does not name the folders {} beside it", unlisted.join(", ")));
    }
    if problems.is_empty() {
        return Ok(chosen);
    }
    let message = format!(
        "{} {}; correct the file, or say which subjects are meant with `subject.names`",
        file.display(),
        problems.join(", and ")
    );
    Err(SettingError::new("subject", message).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A data folder with these lines and folders.
    fn data(listed: &[&str], folders: &[&str]) -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        let lines: String = listed.iter().map(|name| format!("{name},cat\n")).collect();
        std::fs::write(data.path().join(CLASSES_FILE), format!("Classes\nsubject_name,class\n{lines}"))
            .unwrap();
        folders.iter().for_each(|name| std::fs::create_dir(data.path().join(name)).unwrap());
        data
    }

    fn select(data: &Path, selection: Value) -> std::result::Result<Vec<String>, String> {
        let selection: Selection = serde_json::from_value(selection).unwrap();
        let subjects = selection.subjects(&json!({"data": data})).map_err(|error| format!("{error:#}"))?;
        Ok(subjects.into_iter().map(|subject| subject.name).collect())
    }

    #[test]
    fn more_subjects_than_there_are_is_an_error_with_both_numbers() {
        let data = data(&["a", "b", "c"], &["a", "b", "c"]);
        assert_eq!(select(data.path(), json!({})).unwrap(), ["a", "b", "c"]);
        assert_eq!(select(data.path(), json!({"first": 2, "skip": 1})).unwrap(), ["b", "c"]);
        assert_eq!(select(data.path(), json!({"first": 2, "without": ["b"]})).unwrap(), ["a", "c"]);
        assert_eq!(select(data.path(), json!({"without": ["a"]})).unwrap(), ["b", "c"]);
        for (selection, parts) in [
            (json!({"first": 3, "without": ["b"]}), ["subject.first", "found 3", "names 2 subjects"]),
            (json!({"without": ["bb"]}), ["subject.without", "`bb`", "b"]),
            (json!({"first": 99}), ["subject.first", "found 99", "names 3 subjects"]),
            (json!({"first": 3, "skip": 1}), ["subject.first", "3 after 1 skipped", "names 3 subjects"]),
            (json!({"skip": 3}), ["subject.skip", "found 3 skipped", "names 3 subjects"]),
        ] {
            let message = select(data.path(), selection).unwrap_err();
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }

    #[test]
    fn a_subject_whose_folder_is_not_there_and_a_folder_without_a_line_are_named() {
        let data = data(&["a", "dgo", "c"], &["a", "c", "dog", ".git"]);
        let all = select(data.path(), json!({})).unwrap_err();
        assert!(all.contains("names dgo, and there is no such folder"), "{all}");
        assert!(
            all.contains("does not name the folders dog beside it") && all.contains("subject.names"),
            "{all}"
        );
        let first = select(data.path(), json!({"first": 2})).unwrap_err();
        assert!(first.contains("names dgo") && !first.contains("dog beside"), "{first}");
        assert_eq!(select(data.path(), json!({"first": 1})).unwrap(), ["a"]);
        assert_eq!(select(data.path(), json!({"names": ["c", "a"]})).unwrap(), ["c", "a"]);
        let twice = select(data.path(), json!({"names": ["c", "c"]})).unwrap_err();
        assert!(twice.contains("subject.names") && twice.contains("`c` stands twice"), "{twice}");
    }
}
