//! What `adapter_config.json` says of an adapter to be imported.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::folder::{CONFIG_FILE, DELORA, IA3, LORA, Names, OFT, VERA, misfit};
use crate::config::MethodConfig;
use crate::error::CoreError;

/// Keys of a config that say where an adapter comes from or how it is trained, not what it computes. Which layers it
/// adapts, and which modules it has whole, is read from its tensors. There is a space between two keys.
const INDIFFERENT: &str = "auto_mapping base_model_name_or_path d_initial delora_lambda eva_config \
    exclude_modules feedforward_modules inference_mode init_ia3_weights init_weights layers_pattern \
    layers_to_transform lora_dropout megatron_core module_dropout modules_to_save peft_version \
    projection_prng_key qalora_group_size revision target_modules task_type vera_dropout";
/// Starts of LoRA that leave the network's weights as they are.
const PLAIN_STARTS: [&str; 5] = ["true", "false", "\"gaussian\"", "\"orthogonal\"", "\"eva\""];

/// What a config says, less what has been read of it.
struct Config {
    path: PathBuf,
    values: Map<String, Value>,
}

/// What a config comes to.
pub struct Form {
    pub method: MethodConfig,
    pub names: Names,
    /// LoRA's ranks and constants.
    lora: Option<Scales>,
    /// Terms of the series that PEFT took for OFT's Cayley map; absent: it is exact.
    pub series_terms: Option<i32>,
}

/// Ranks and alphas of LoRA's layers.
#[derive(Default)]
struct Scales {
    rank: i64,
    alpha: f64,
    /// The scale is alpha over the rank's square root.
    by_root: bool,
    /// Whether the scale is a constant of ours: a start of the method's own has none.
    is_constant: bool,
    /// Layers of another rank or alpha, by regular expressions that the ends of their names fit.
    ranks: Vec<(Regex, i64)>,
    alphas: Vec<(Regex, f64)>,
}

/// What the patterns that fit a layer say of it.
fn by_pattern<T: Copy>(patterns: &[(Regex, T)], layer: &str) -> impl Iterator<Item = T> {
    patterns.iter().filter(move |(pattern, _)| pattern.is_match(layer)).map(|(_, value)| *value)
}

fn differ<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
    values.next().is_some_and(|first| values.any(|other| other != first))
}

impl Form {
    /// LoRA's rank at a layer, 0 of any other method.
    pub fn rank(&self, layer: &str) -> i64 {
        self.lora.as_ref().map_or(0, |own| by_pattern(&own.ranks, layer).next().unwrap_or(own.rank))
    }

    /// Whether patterns disagree about a layer: PEFT takes the first of the file, whose order is not kept here.
    pub fn is_ambiguous(&self, layer: &str) -> bool {
        self.lora.as_ref().is_some_and(|own| {
            differ(by_pattern(&own.ranks, layer)) || differ(by_pattern(&own.alphas, layer))
        })
    }

    /// LoRA's constant at a layer.
    pub fn scale(&self, layer: &str) -> Option<f64> {
        let own = self.lora.as_ref().filter(|own| own.is_constant)?;
        let (rank, alpha) =
            (self.rank(layer) as f64, by_pattern(&own.alphas, layer).next().unwrap_or(own.alpha));
        Some(alpha / if own.by_root { rank.sqrt() } else { rank })
    }

    /// Errors name the file, the key and its value.
    pub fn read(folder: &Path) -> Result<Form, CoreError> {
        let mut config = Config::read(folder)?;
        let form = config.form()?;
        config.finish()?;
        Ok(form)
    }

    fn new(name: &str, settings: Value, names: Names) -> Form {
        let settings = settings.as_object().expect("settings are an object").clone();
        let method = MethodConfig { name: name.to_owned(), settings };
        Form { method, names, lora: None, series_terms: None }
    }
}

impl Config {
    fn read(folder: &Path) -> Result<Config, CoreError> {
        let path = folder.join(CONFIG_FILE);
        let text = fs::read(&path).map_err(|source| CoreError::Io { path: path.clone(), source })?;
        let problem = |error: serde_json::Error| {
            let what = stored::foreign(&text).map(|what| format!("it is {what}"));
            misfit(&path, what.unwrap_or_else(|| error.to_string()))
        };
        let values = serde_json::from_slice(&text).map_err(problem)?;
        Ok(Config { path, values })
    }

    /// A setting that has to be there.
    fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<T, CoreError> {
        let value = self.values.remove(key);
        let value = value.ok_or_else(|| misfit(&self.path, format!("`{key}` is missing")))?;
        let wrong = |error| misfit(&self.path, format!("`{key}` is {value}: {error}"));
        serde_json::from_value(value.clone()).map_err(wrong)
    }

    /// A switch, off where it is not there.
    fn is_on(&mut self, key: &str) -> Result<bool, CoreError> {
        if self.values.contains_key(key) { self.take(key) } else { Ok(false) }
    }

    fn form(&mut self) -> Result<Form, CoreError> {
        match self.take::<String>("peft_type")?.as_str() {
            "LORA" => self.lora(),
            "DELORA" => {
                let (rank, lambda): (i64, f64) = (self.take("r")?, self.take("delora_lambda")?);
                let settings = json!({
                    "rank": rank,
                    "lambda": lambda,
                    "initial_update": "zero_b",
                    "weight_norm": "input_column",
                });
                Ok(Form::new("delora", settings, DELORA))
            }
            "OFT" => self.oft(),
            "IA3" => Ok(Form::new("ia3", json!({}), IA3)),
            "VERA" => {
                let (rank, initial_d): (i64, f64) = (self.take("r")?, self.take("d_initial")?);
                if !self.is_on("save_projection")? {
                    let problem = "`save_projection` is false, so A and B are not in the folder; save it again with true";
                    return Err(misfit(&self.path, problem));
                }
                Ok(Form::new("vera", json!({"rank": rank, "initial_d": initial_d}), VERA))
            }
            other => {
                let problem = format!("`peft_type` is {other}; read are LORA, DELORA, OFT, IA3 and VERA");
                Err(misfit(&self.path, problem))
            }
        }
    }

    fn lora(&mut self) -> Result<Form, CoreError> {
        let (rank, alpha): (i64, f64) = (self.take("r")?, self.take("lora_alpha")?);
        let (is_rslora, is_dora) = (self.is_on("use_rslora")?, self.is_on("use_dora")?);
        let start = self.values.remove("init_lora_weights").unwrap_or(json!(true)).to_string();
        let is_pissa = start == "\"pissa\"" && !is_dora;
        if !is_pissa && !PLAIN_STARTS.contains(&start.as_str()) {
            let problem = format!(
                "`init_lora_weights` is {start}, a start that changes the weights below; convert it in PEFT with \
                 `save_pretrained(.., path_initial_model_for_weight_conversion=..)`"
            );
            return Err(misfit(&self.path, problem));
        }
        let given = alpha;
        let scale = alpha / if is_rslora { (rank as f64).sqrt() } else { rank as f64 };
        let name = match (is_pissa, is_dora, is_rslora) {
            (true, ..) => "pissa",
            (_, true, _) => "dora",
            (_, _, true) => "rslora",
            _ => "lora",
        };
        let alpha = if name == "rslora" || !is_rslora { alpha } else { scale * rank as f64 };
        let form = Form::new(name, json!({"rank": rank, "alpha": alpha}), LORA);
        let lora = Scales {
            rank,
            alpha: given,
            by_root: is_rslora,
            is_constant: !is_pissa,
            ranks: self.patterns("rank_pattern")?,
            alphas: self.patterns("alpha_pattern")?,
        };
        if is_pissa && !(lora.ranks.is_empty() && lora.alphas.is_empty()) {
            let problem =
                "`rank_pattern` and `alpha_pattern` go with PiSSA's start in no form that is known here";
            return Err(misfit(&self.path, problem));
        }
        Ok(Form { lora: Some(lora), ..form })
    }

    /// PEFT's patterns: regular expressions of the end of a layer's name, behind its beginning or a dot.
    fn patterns<T: DeserializeOwned>(&mut self, key: &str) -> Result<Vec<(Regex, T)>, CoreError> {
        if !self.values.get(key).is_some_and(Value::is_object) {
            return Ok(Vec::new());
        }
        let values: Map<String, Value> = self.take(key)?;
        let pattern = |(pattern, value): (String, Value)| {
            let wrong = |error: String| misfit(&self.path, format!("`{key}`: `{pattern}`: {error}"));
            let expression = Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$"));
            let expression = expression.map_err(|error| wrong(error.to_string()))?;
            Ok((expression, serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?))
        };
        values.into_iter().map(pattern).collect()
    }

    fn oft(&mut self) -> Result<Form, CoreError> {
        // The number of blocks is read from the tensors, as one of these is 0.
        let _: [i64; 2] = [self.take("r")?, self.take("oft_block_size")?];
        let constraint = if self.is_on("coft")? { Some(self.take::<f64>("eps")?) } else { None };
        self.values.remove("eps");
        let mut form = Form::new("oft", json!({}), OFT);
        form.method.settings.extend(constraint.map(|limit| ("constraint".to_owned(), json!(limit))));
        if self.is_on("use_cayley_neumann")? {
            form.series_terms = Some(self.take("num_cayley_neumann_terms")?);
        }
        self.values.remove("num_cayley_neumann_terms");
        Ok(form)
    }

    /// Refuses what is on and was not read.
    fn finish(self) -> Result<(), CoreError> {
        let is_off = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(items) => items.is_empty(),
            other => other == "none" || other == "",
        };
        let mut left = self.values.iter();
        match left.find(|(key, value)| !INDIFFERENT.split(' ').any(|own| own == *key) && !is_off(value)) {
            Some((key, value)) => {
                let problem = format!("`{key}` is {value}, which is not known here; it would have to be off");
                Err(misfit(&self.path, problem))
            }
            None => Ok(()),
        }
    }
}
