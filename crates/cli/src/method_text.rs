//! What is known of a method, in words.

mod polynomial;

use delora_core::{Adapts, LinearShape, Method, MethodConfig, PartShape, Place, Role, SiteShape};
use serde_json::{Map, Value};

use crate::params::{self, Model, grouped};
use polynomial::Polynomial;

/// Sides of the square layer, or width of the hidden states, for which counts are given.
const EXAMPLE: i64 = 768;

const PLACES: [Place; 3] = [Place::AttentionOutput, Place::FeedForwardOutput, Place::BlockOutput];

/// A few lines.
pub fn short(method: &Method) -> String {
    let mut text = head(method);
    text += &line("settings", &settings(method).join(", "));
    text += &line("parameters", &parameters(method));
    text
}

/// All there is.
pub fn full(method: &Method) -> anyhow::Result<String> {
    let mut text = head(method);
    for (index, setting) in settings(method).iter().enumerate() {
        text += &line(if index == 0 { "settings" } else { "" }, setting);
    }
    text += &line("parameters", &parameters(method));
    let config = MethodConfig { name: method.name().to_owned(), settings: Map::new() };
    for name in Model::names() {
        let Some(facts) = params::facts(name) else { continue };
        let model = Model::find(name)?;
        // A default that this model cannot have, such as a rank, is no reason to hide the others.
        let count = match model.count(&config, &facts.targets) {
            Ok(count) => grouped(count.total),
            Err(error) => format!("impossible ({})", crate::exit::message(&error)),
        };
        text += &line("", &format!("{count} on {name}"));
    }
    Ok(text + "\n" + &method.header())
}

fn head(method: &Method) -> String {
    let about = &method.about;
    let groups: Vec<String> = about.groups.iter().map(ToString::to_string).collect();
    let trains = if groups.is_empty() { "nothing".to_owned() } else { groups.join(", ") };
    let start = if about.starts_at_identity { "the pretrained network" } else { "elsewhere than pretrained" };
    let bound = match about.bound {
        bound @ "unbounded" => bound.to_owned(),
        bound => format!("‖W' − W‖ ≤ {bound}"),
    };
    let mut text = format!("{} ({})\n", about.name, about.title);
    for (name, value) in [
        ("formula", about.formula),
        ("trains", &trains),
        ("starts as", start),
        ("bound", &bound),
        ("update rank", about.update_rank),
    ] {
        text += &line(name, value);
    }
    text
}

fn line(name: &str, value: &str) -> String {
    format!("    {name:<12}{}\n", if value.is_empty() { "–" } else { value })
}

/// Each with its default.
fn settings(method: &Method) -> Vec<String> {
    let defaults = method.defaults();
    let setting = |name: &&str| match &defaults[*name] {
        Value::Null => format!("{name} absent"),
        value => format!("{name} = {value}"),
    };
    method.setting_names().iter().map(setting).collect()
}

/// Trained at a site, as a polynomial of its sizes, and at the example.
fn parameters(method: &Method) -> String {
    let defaults = method.defaults();
    let defaults = defaults.as_object().expect("settings are a struct");
    let count = |site: &SiteShape| {
        let variant = method.variant(defaults, site, None).expect("defaults are settings");
        variant.map(|_| method.num_parameters(defaults, site).expect("defaults are settings"))
    };
    let mut forms: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |place: String, sizes: [&str; 2], count: &dyn Fn(i64, i64) -> Option<i64>| {
        let Some(example) = count(EXAMPLE, EXAMPLE) else { return };
        let polynomial = Polynomial::of(EXAMPLE, |x, y| count(x, y).unwrap_or(0));
        let (text, example) = (polynomial.text(sizes), grouped(example));
        let form = if text == example { text } else { format!("{text} = {example}") };
        match forms.iter_mut().find(|(known, _)| *known == form) {
            Some((_, places)) => places.push(place),
            None => forms.push((form, vec![place])),
        }
    };
    if method.adapts == Adapts::Hidden {
        for place in PLACES {
            let site = |features, _| count(&SiteShape::hidden("", place, 0, features));
            add(name_of(&place), ["features", ""], &site);
        }
    } else {
        for role in Role::ALL {
            let site = |inputs, outputs| {
                let part = LinearShape { role, in_features: inputs, out_features: outputs, has_bias: true };
                count(&SiteShape { name: String::new(), part: PartShape::Linear(part) })
            };
            add(role.to_string(), ["in", "out"], &site);
        }
    }
    let unit = match method.adapts {
        Adapts::Hidden => format!("for {EXAMPLE} features"),
        _ => format!("for {EXAMPLE} × {EXAMPLE}"),
    };
    let is_one = forms.len() == 1 && method.adapts != Adapts::Hidden;
    let forms: Vec<String> = (forms.into_iter())
        .map(|(form, places)| {
            let places = if is_one { String::new() } else { format!(" at {}", places.join(", ")) };
            format!("{form} {unit}{places}")
        })
        .collect();
    let others = if method.adapts == Adapts::Whole { "; other tensors too" } else { "" };
    forms.join("; ") + others
}

fn name_of(place: &Place) -> String {
    serde_json::to_value(place).ok().and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use delora_core::{METHODS, find_method};

    use super::*;

    #[test]
    fn parameters_are_a_polynomial_and_a_number() {
        let text = |name| parameters(find_method(name).unwrap());
        for (name, expected) in [
            ("none", "0 for 768 × 768"),
            ("delora", "16 in + 16 out + 1 = 24,577 for 768 × 768"),
            ("oft", "in²/8 − in/2 = 73,344 for 768 × 768"),
            ("full", "in·out + out = 590,592 for 768 × 768; other tensors too"),
            ("bitfit", "out = 768 for 768 × 768; other tensors too"),
            ("ia3", "out = 768 for 768 × 768 at key, value; in = 768 for 768 × 768 at feed_forward_out"),
            ("vera", "out + 256 = 1,024 for 768 × 768"),
            ("loreft", "2 features + 1 = 1,537 for 768 features at block_output"),
        ] {
            assert_eq!(text(name), expected);
        }
    }

    #[test]
    fn a_method_is_shown_whole() {
        let text = full(find_method("lora").unwrap()).unwrap();
        for part in [
            "lora (LoRA)",
            "formula     W + (α/r) B A",
            "trains      angles",
            "rank = 16",
            "alpha absent",
            "3,188,736 on sd15",
            "Source: Hu et al. 2022",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_list_has_every_method_and_every_setting() {
        for method in METHODS {
            let text = short(method);
            assert!(text.starts_with(method.name()) && text.lines().count() == 8, "{text}");
            for name in method.setting_names() {
                assert!(text.contains(name), "{name}: {text}");
            }
        }
    }
}
