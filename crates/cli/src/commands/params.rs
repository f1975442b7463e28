//! `delora params`: how many parameters methods train, from a model's shapes alone.

use anyhow::{Context, anyhow};
use delora_core::{MethodConfig, Role, find_method};
use serde_json::{Map, Value};

use crate::params::{self, Count, Model, grouped};

#[derive(clap::Args)]
pub struct Args {
    /// One of sd15, roberta-base, llama2-7b, or another network of their checkpoints and evaluators, such as sd15-vae
    #[arg(long, value_name = "NAME")]
    model: String,
    /// Count this method; without it: every row that the paper states, beside its number
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// A setting of the method, as in --set rank=16; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "method")]
    sets: Vec<String>,
    /// Roles of the adapted linear layers, as in --targets query,value; without it: those of the paper
    #[arg(long, value_name = "ROLES", requires = "method", value_delimiter = ',')]
    targets: Option<Vec<String>>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    terminal::print(text(args)?);
    Ok(())
}

fn text(args: &Args) -> anyhow::Result<String> {
    let model = Model::find(&args.model)?;
    let targets = match &args.targets {
        Some(names) => names.iter().map(|name| role(name)).collect::<anyhow::Result<_>>()?,
        None => params::facts(&args.model).map_or(Vec::new(), |facts| facts.targets),
    };
    let (parameters, tensors) = (model.shapes.num_parameters(), model.shapes.num_tensors());
    let names = targets.iter().map(Role::to_string).collect::<Vec<_>>().join(", ");
    let targeted = match model.num_targets(&targets) {
        0 if targets.is_empty() => String::new(),
        count => format!("{count} linear layers are targets: {names}\n"),
    };
    let head =
        format!("{}: {} parameters in {tensors} tensors\n{targeted}\n", model.title, grouped(parameters));
    let Some(name) = &args.method else { return Ok(head + &params::table(&args.model, &model)?) };
    let mut config = MethodConfig { name: name.clone(), settings: Map::new() };
    for set in &args.sets {
        let (key, value) = set.split_once('=').with_context(|| format!("`{set}` is not KEY=VALUE"))?;
        config.settings.insert(key.to_owned(), value_of(value));
    }
    let count = model.count(&config, &targets)?;
    Ok(head + &details(&config, &count, parameters)?)
}

/// JSON where it is, else text.
fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn role(name: &str) -> anyhow::Result<Role> {
    serde_json::from_value(Value::from(name)).map_err(|error| anyhow!("{error}")).context("--targets")
}

fn details(config: &MethodConfig, count: &Count, parameters: i64) -> anyhow::Result<String> {
    let mut settings = find_method(&config.name)?.defaults();
    settings.as_object_mut().expect("settings are a struct").extend(config.settings.clone());
    let settings = params::settings(settings.as_object().expect("settings are a struct"));
    let share = 100.0 * count.total as f64 / parameters as f64;
    let total = grouped(count.total);
    let mut text =
        format!("{} {settings}\n{total} trained parameters, {share:.3} % of the model\n", config.name);
    let parts = count.parts.iter().map(|part| {
        [part.sites.to_string(), part.shape.clone(), grouped(part.each), grouped(part.sites * part.each)]
    });
    let parts: Vec<[String; 4]> = parts.collect();
    let widths =
        [0, 1, 2, 3].map(|column| parts.iter().map(|part| part[column].chars().count()).max().unwrap_or(0));
    let [a, b, c, d] = widths;
    for [sites, shape, each, all] in &parts {
        text += &format!("  {sites:>a$} × {shape:<b$}  {each:>c$} each  {all:>d$}\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(sets: &[&str], targets: Option<&str>) -> Args {
        Args {
            model: "llama2-7b".to_owned(),
            method: Some("lora".to_owned()),
            sets: sets.iter().map(|set| (*set).to_owned()).collect(),
            targets: targets.map(|names| names.split(',').map(str::to_owned).collect()),
        }
    }

    #[test]
    fn settings_and_targets_change_the_count() {
        let default = text(&args(&["rank=8"], None)).unwrap();
        assert!(default.contains("6,738,415,616 parameters in 291 tensors"), "{default}");
        assert!(default.contains("64 linear layers are targets: query, value"), "{default}");
        assert!(default.contains("4,194,304 trained parameters, 0.062 % of the model"), "{default}");
        assert!(default.contains("64 × linear 4096 × 4096"), "{default}");
        let one = text(&args(&["rank=1"], Some("feed_forward_out"))).unwrap();
        assert!(one.contains(&grouped(32 * (4096 + 11008))), "{one}");
    }

    #[test]
    fn networks_that_the_paper_does_not_train_are_counted_alone() {
        let args = Args { model: "sd15-vae".to_owned(), method: None, ..args(&[], None) };
        let text = text(&args).unwrap();
        assert!(
            text.starts_with("VAE of Stable Diffusion 1.5 and 2.1: 83,653,863 parameters in 248 tensors\n\n"),
            "{text}"
        );
        assert!(text.contains("trains no part of it"), "{text}");
    }

    #[test]
    fn wrong_arguments_are_errors_that_say_what_is_known() {
        let refusal = |args| crate::exit::message(&text(&args).unwrap_err());
        assert!(refusal(args(&["rank"], None)).contains("`rank` is not KEY=VALUE"));
        let error = refusal(args(&[], Some("query,values")));
        assert!(error.contains("`values`") && error.contains("`feed_forward_in`"), "{error}");
    }
}
