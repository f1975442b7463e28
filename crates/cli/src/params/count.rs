//! What a method trains of a model.

use anyhow::{Context, anyhow};
use delora_core::{MethodConfig, PartShape, Role, SiteShape, Target, find_method};
use models::shapes::{ARCHITECTURES, Shapes};

/// A model that is known by its shapes.
pub struct Model {
    pub title: &'static str,
    pub shapes: Shapes,
}

/// Trained parameters.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub total: i64,
    pub parts: Vec<Part>,
}

/// Sites of one shape, with as many parameters each.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// In words.
    pub shape: String,
    pub each: i64,
    pub sites: i64,
}

impl Model {
    pub fn names() -> Vec<&'static str> {
        ARCHITECTURES.iter().map(|architecture| architecture.name).collect()
    }

    /// An unknown name is an error that lists the known ones.
    pub fn find(name: &str) -> anyhow::Result<Model> {
        let architecture = ARCHITECTURES.iter().find(|architecture| architecture.name == name);
        let architecture = architecture.ok_or_else(|| {
            anyhow!("there is no model `{name}`; known models are {}", Model::names().join(", "))
        })?;
        Ok(Model { title: architecture.title, shapes: architecture.shapes() })
    }

    /// Linear layers of these roles.
    pub fn num_targets(&self, targets: &[Role]) -> usize {
        let is_target = |site: &&SiteShape| match &site.part {
            PartShape::Linear(shape) => targets.contains(&shape.role),
            _ => false,
        };
        self.shapes.sites.iter().filter(is_target).count()
    }

    /// Errors name the method or the setting that is wrong, and what is known.
    pub fn count(&self, config: &MethodConfig, targets: &[Role]) -> anyhow::Result<Count> {
        let named = Target::roles(targets);
        let (method, settings) = (find_method(&config.name)?, &config.settings);
        let wrong = |problem: String| {
            let known = match method.setting_names() {
                [] => "it has no settings".to_owned(),
                names => format!("its settings are {}", names.join(", ")),
            };
            anyhow!("{problem}; {known}").context(format!("method `{}`", config.name))
        };
        method.structure(settings).map_err(wrong)?;
        let mut count = Count::default();
        for site in &self.shapes.sites {
            if method.variant(settings, site, Some(&named)).map_err(wrong)?.is_none() {
                continue;
            }
            method
                .check(settings, site)
                .map_err(|problem| anyhow!("{problem}"))
                .with_context(|| format!("method `{}` at `{}`", config.name, site.name))?;
            let added = method.num_parameters(settings, site).map_err(wrong)?;
            count.add(shape_of(site), added);
        }
        Ok(count)
    }
}

impl Count {
    fn add(&mut self, shape: String, each: i64) {
        self.total += each;
        match self.parts.iter_mut().find(|part| part.shape == shape && part.each == each) {
            Some(part) => part.sites += 1,
            None => self.parts.push(Part { shape, each, sites: 1 }),
        }
    }
}

fn shape_of(site: &SiteShape) -> String {
    match &site.part {
        PartShape::Linear(shape) => {
            let bias = if shape.has_bias { " with bias" } else { "" };
            format!("linear {} × {}{bias}", shape.out_features, shape.in_features)
        }
        PartShape::Tensor(shape) => {
            format!("tensor {}", shape.iter().map(i64::to_string).collect::<Vec<_>>().join(" × "))
        }
        PartShape::Hidden(shape) => format!("hidden {}", shape.features),
        PartShape::TaskTensor(shape) => format!("head {shape:?}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ATTENTION: [Role; 4] = [Role::Query, Role::Key, Role::Value, Role::Output];

    fn config(name: &str, settings: Value) -> MethodConfig {
        MethodConfig { name: name.to_owned(), settings: settings.as_object().unwrap().clone() }
    }

    fn total(model: &str, targets: &[Role], name: &str, settings: Value) -> i64 {
        Model::find(model).unwrap().count(&config(name, settings), targets).unwrap().total
    }

    #[test]
    fn stable_diffusion_has_the_counts_of_its_attention() {
        let total = |name, settings| total("sd15", &ATTENTION, name, settings);
        assert_eq!(total("lora", json!({ "rank": 8 })), 1_594_368);
        assert_eq!(total("dora", json!({ "rank": 16 })), 3_288_576);
        assert_eq!(total("ether", json!({})), 99_456);
        assert_eq!(total("ether_plus_one_sided", json!({})), 198_912);
        assert_eq!(total("full", json!({})), 859_520_964);
        assert_eq!(total("none", json!({})), 0);
    }

    #[test]
    fn semantic_maps_adapt_the_gates_of_feed_forward_blocks_too() {
        let targets = [ATTENTION.as_slice(), &[Role::FeedForwardIn]].concat();
        let model = Model::find("sd15").unwrap();
        assert_eq!((model.num_targets(&ATTENTION), model.num_targets(&targets)), (128, 144));
        for (blocks, parameters) in [(2, 26_345_824), (4, 13_144_928), (8, 6_544_480), (16, 3_244_256)] {
            let count = model.count(&config("oft", json!({ "blocks": blocks })), &targets).unwrap();
            assert_eq!(count.total, parameters);
        }
        assert_eq!(model.count(&config("lora", json!({})), &targets).unwrap().total, 4_985_856);
        assert_eq!(model.count(&config("ether_plus", json!({})), &targets).unwrap().total, 623_232);
    }

    #[test]
    fn parts_are_by_shape_and_add_up() {
        let model = Model::find("sd15").unwrap();
        let count = model.count(&config("lora", json!({ "rank": 4 })), &ATTENTION).unwrap();
        assert_eq!(count.parts.iter().map(|part| part.sites * part.each).sum::<i64>(), count.total);
        let keys = Part { shape: "linear 320 × 768".to_owned(), each: 4 * (320 + 768), sites: 10 };
        assert!(count.parts.contains(&keys), "{:?}", count.parts);
    }

    #[test]
    fn what_is_unknown_or_impossible_is_an_error_that_says_what_is_known() {
        let message = |error: anyhow::Error| crate::exit::message(&error);
        let error = message(Model::find("sd14").err().unwrap());
        assert!(error.contains("`sd14`") && error.contains("sd15, roberta-base, llama2-7b"), "{error}");
        let model = Model::find("roberta-base").unwrap();
        let refusal = |name, settings| message(model.count(&config(name, settings), &ATTENTION).unwrap_err());
        for (name, settings, words) in [
            ("lorra", json!({}), "known methods are none, lora"),
            ("lora", json!({ "rnk": 4 }), "unknown field `rnk`"),
            ("lora", json!({ "rnk": 4 }), "its settings are rank, alpha"),
            ("lora", json!({ "rank": "four" }), "method `lora`: invalid type"),
            ("bitfit", json!({ "rank": 4 }), "it has no settings"),
            ("lora", json!({ "rank": 1000 }), "rank 1000 exceeds 768"),
            ("oft", json!({ "blocks": 5 }), "method `oft` at `roberta.encoder.layer.0"),
        ] {
            let error = refusal(name, settings);
            assert!(error.contains(words), "{error}");
        }
    }
}
