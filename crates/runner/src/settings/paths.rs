//! Settings that name files or folders: `~` in them, and which of them an error is about.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::settings::error::SettingError;
use crate::settings::merge::{Table, get_path};

/// The path with a leading `~` replaced by the user's home folder, as a shell does where it is not quoted.
pub fn expand_home(path: &Path) -> PathBuf {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    match (path.strip_prefix("~"), home) {
        // Joining nothing would leave a slash at the end.
        (Ok(rest), Some(home)) if rest.as_os_str().is_empty() => home,
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_path_buf(),
    }
}

/// Replaces `~` in the settings of `keys`.
pub(crate) fn expand_homes(config: &mut Value, keys: &[&str]) {
    for key in keys {
        if let Some(Value::String(path)) = config.pointer_mut(&format!("/{}", key.replace('.', "/")))
            && path.starts_with('~')
            && let Some(expanded) = expand_home(Path::new(&*path)).to_str()
        {
            *path = expanded.to_string();
        }
    }
}

/// The value of one setting with `~` replaced, where the setting is one of `keys`.
pub(crate) fn expand_homes_of(key: &str, value: &Value, keys: &[&str]) -> Value {
    let mut table = Value::Object(Table::from_iter([(key.to_string(), value.clone())]));
    expand_homes(&mut table, keys);
    table[key].take()
}

/// What a task's error says of the settings of `keys`: those that name nothing that is there, each with the remedy for
/// it, and else the one whose file the error names. Nothing where it is about none of them.
pub(crate) fn blamed(
    error: &anyhow::Error,
    config: &Value,
    keys: &[&str],
    remedy: impl Fn(&str) -> Option<String>,
) -> Vec<SettingError> {
    let text = format!("{error:#}");
    let named = keys.iter().filter_map(|key| Some((*key, get_path(config, key)?.as_str()?)));
    let named: Vec<(&str, &str)> = named.filter(|(_, path)| !path.is_empty()).collect();
    let missing = named.iter().filter(|(_, path)| !Path::new(path).exists());
    let mut errors: Vec<SettingError> = missing
        .map(|(key, path)| {
            let place = match std::env::current_dir() {
                Ok(folder) if Path::new(path).is_relative() => format!(" below {}", folder.display()),
                _ => String::new(),
            };
            let remedy = remedy(path).map_or(String::new(), |remedy| format!("{remedy}, or "));
            let message = format!(
                "there is no file or folder `{path}`{place}; {remedy}name another with `--set {key}=PATH`"
            );
            SettingError::new(*key, message)
        })
        .collect();
    let is_named = |(_, path): &&(&str, &str)| text.contains(path);
    if let Some((key, path)) = named.iter().filter(is_named).max_by_key(|(_, path)| path.len())
        && Path::new(path).exists()
    {
        let is_missing = error.chain().any(|cause| {
            let cause = cause.downcast_ref::<std::io::Error>();
            cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound)
        });
        let remedy =
            remedy(path).filter(|_| is_missing).map_or(String::new(), |remedy| format!("; {remedy}"));
        errors.push(SettingError::new(*key, text + &remedy));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tilde_stands_for_the_home_folder_at_the_beginning_of_a_path_setting_only() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(expand_home(Path::new("~")), home);
        assert_eq!(expand_home(Path::new("~/models/sd")), home.join("models/sd"));
        for other in ["~somebody/models", "models/~", "~models", "/~/a", ""] {
            assert_eq!(expand_home(Path::new(other)), Path::new(other));
        }
        let mut config = json!({"model": "~/sd", "scores": {"dino": "~"}, "identifier": "~/sd", "data": 3});
        expand_homes(&mut config, &["model", "scores.dino", "data", "absent"]);
        let text = |path: PathBuf| path.to_str().unwrap().to_string();
        let expected = json!({"model": text(home.join("sd")), "scores": {"dino": text(home.clone())},
            "identifier": "~/sd", "data": 3});
        assert_eq!(config, expected);
        let subject = expand_homes_of("subject", &json!({"folder": "~/dog"}), &["subject.folder"]);
        assert_eq!(subject, json!({"folder": text(home.join("dog"))}));
    }

    #[test]
    fn an_error_is_about_the_settings_that_name_nothing_or_about_the_one_whose_file_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().to_str().unwrap();
        let config = json!({"model": here, "data": "no/such", "scores": {"dino": format!("{here}/none")}});
        let of = |text: &str, keys: &[&str]| {
            let error = anyhow::anyhow!("cause").context(text.to_string());
            let remedy = |path: &str| (path == "no/such").then(|| "fetch it".to_string());
            let found = blamed(&error, &config, keys, remedy);
            found.into_iter().map(|error| (error.key, error.message)).collect::<Vec<_>>()
        };
        let missing = of("no/such/a.json: cannot be read", &["model", "data", "scores.dino"]);
        assert_eq!(missing.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["data", "scores.dino"]);
        let here_is = std::env::current_dir().unwrap();
        let text = format!(
            "there is no file or folder `no/such` below {}; fetch it, or name another with `--set data=PATH`",
            here_is.display()
        );
        assert_eq!(missing[0].1, text);
        assert!(
            missing[1].1.ends_with("none`; name another with `--set scores.dino=PATH`"),
            "{}",
            missing[1].1
        );
        let broken = of(&format!("{here}/a.json: no JSON"), &["model"]);
        assert_eq!(broken, [("model".to_string(), format!("{here}/a.json: no JSON: cause"))]);
        assert_eq!(of("the moon is full", &["model"]), []);
    }
}
