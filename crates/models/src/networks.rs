//! The networks of this crate by the class that their `config.json` names, as diffusers or transformers call it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clip::{Clip, ClipConfig, ClipText, ClipTextConfig, ClipVision, ClipVisionConfig};
use crate::config::{self, Config, Others};
use crate::decoder::{Decoder, DecoderConfig};
use crate::loaded::Loaded;
use crate::roberta::{Encoder, EncoderConfig};
use crate::shapes::{ARCHITECTURES, Architecture, Scalable, Shapes, Width};
use crate::unet::{UNet2DCondition, UNetConfig};
use crate::vae::{AutoencoderKl, VaeConfig};
use crate::vit::{Vit, VitConfig};
use crate::weights::class_of;
use crate::weights::naming::{self, Naming};

/// A kind of network.
pub struct Network {
    /// Classes that it can be read from; the first one is its own.
    pub classes: &'static [&'static str],
    pub naming: &'static Naming,
    read: fn(&Value) -> Result<Asked, String>,
}

/// What a `config.json` asks for.
#[derive(Debug)]
pub struct Asked {
    pub shapes: Shapes,
    /// The keys that decide shapes and results, those that are left out with the values that are then meant.
    pub config: Value,
}

pub static NETWORKS: [Network; 8] = [
    network(&["UNet2DConditionModel"], &naming::PLAIN, read::<UNetConfig>),
    network(&["AutoencoderKL"], &naming::VAE, read::<VaeConfig>),
    network(&["CLIPTextModel", "CLIPTextModelWithProjection"], &naming::CLIP_TEXT, read::<ClipTextConfig>),
    network(&["CLIPModel"], &naming::PLAIN, read::<ClipConfig>),
    network(&["CLIPVisionModelWithProjection"], &naming::CLIP_VISION, read::<ClipTower>),
    network(&["ViTModel", "ViTForImageClassification"], &naming::VIT, read::<VitConfig>),
    network(
        &[
            "RobertaModel",
            "RobertaForMaskedLM",
            "RobertaForSequenceClassification",
            "BertModel",
            "BertForMaskedLM",
            "BertForPreTraining",
            "BertForSequenceClassification",
        ],
        &naming::ENCODER,
        read::<EncoderConfig>,
    ),
    network(
        &["LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"],
        &naming::TIED_DECODER,
        read::<DecoderConfig>,
    ),
];

const fn network(
    classes: &'static [&'static str],
    naming: &'static Naming,
    read: fn(&Value) -> Result<Asked, String>,
) -> Network {
    Network { classes, naming, read }
}

impl Network {
    /// The one that `config` is of. An error says what it is of, and lists what is known.
    pub fn of(config: &Value) -> Result<&'static Network, String> {
        let known =
            || NETWORKS.iter().flat_map(|network| network.classes).copied().collect::<Vec<_>>().join(", ");
        let class = class_of(config);
        let class = class.ok_or_else(|| {
            format!("names no class under `_class_name` or `architectures`; known are {}", known())
        })?;
        let network = NETWORKS.iter().find(|network| network.classes.contains(&class.as_str()));
        network.ok_or_else(|| format!("is of a network of the class `{class}`; known are {}", known()))
    }

    /// An error says what is missing or impossible.
    pub fn read(&self, config: &Value) -> Result<Asked, String> {
        (self.read)(config)
    }

    /// The public checkpoint whose shapes `asked` has, and where their configs differ: "`key` is 1, not 2".
    pub fn published(&'static self, asked: &Asked) -> Option<(&'static Architecture, Vec<String>)> {
        ARCHITECTURES.iter().find_map(|architecture| {
            let config = (architecture.config)();
            let is_same = Network::of(&config).is_ok_and(|network| std::ptr::eq(network, self));
            let public = is_same.then(|| self.read(&config).ok()).flatten()?;
            let differences = || differences(&asked.config, &public.config);
            (public.shapes.layout() == asked.shapes.layout()).then(|| (architecture, differences()))
        })
    }
}

fn read<C: Scalable + Serialize + Config>(config: &Value) -> Result<Asked, String> {
    let config: C = config::parse(config)?;
    let shapes = Shapes::of_config(&config)?;
    Ok(Asked { shapes, config: serde_json::to_value(config).map_err(|error| error.to_string())? })
}

fn differences(ours: &Value, theirs: &Value) -> Vec<String> {
    let (ours, theirs) = (leaves(ours), leaves(theirs));
    let text = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
    let keys: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    keys.into_iter()
        .filter(|key| ours.get(*key) != theirs.get(*key))
        .map(|key| format!("`{key}` is {}, not {}", text(ours.get(key)), text(theirs.get(key))))
        .collect()
}

/// Values by the path of their keys.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => {
                found.extend(
                    leaves(value).into_iter().map(|(inner, value)| (format!("{key}.{inner}"), value)),
                );
            }
            _ => _ = found.insert(key.clone(), value.clone()),
        }
    }
    found
}

/// `config.json` of a CLIP vision tower by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ClipTower {
    #[serde(flatten)]
    vision: ClipVisionConfig,
    projection_dim: i64,
}

impl Config for ClipTower {
    const OTHERS: Others = ClipVisionConfig::OTHERS;

    fn fields() -> Vec<&'static str> {
        [ClipVisionConfig::fields(), vec!["projection_dim"]].concat()
    }

    fn check(&self) -> Result<(), String> {
        self.vision.check()?;
        config::matrix(("projection_dim", self.projection_dim), ("hidden_size", self.vision.hidden_size))
    }
}

fn width<'a>(key: &'static str, side: &'a mut i64) -> Width<'a> {
    Width { key, side, step: 1 }
}

fn layer_widths<'a>(hidden: &'a mut i64, inner: &'a mut i64) -> Vec<Width<'a>> {
    vec![width("hidden_size", hidden), width("intermediate_size", inner)]
}

fn channels(sides: &mut [i64]) -> Vec<Width<'_>> {
    sides.iter_mut().map(|side| width("block_out_channels", side)).collect()
}

impl Scalable for UNetConfig {
    fn widths(&mut self) -> Vec<Width<'_>> {
        channels(&mut self.block_out_channels)
    }

    fn build(&self) -> Result<Shapes, String> {
        Ok(Shapes::of(&Loaded::fresh(|path| UNet2DCondition::new(path, self))))
    }
}

impl Scalable for VaeConfig {
    fn widths(&mut self) -> Vec<Width<'_>> {
        channels(&mut self.block_out_channels)
    }

    fn build(&self) -> Result<Shapes, String> {
        Ok(Shapes::of_tensors(|path| drop(AutoencoderKl::new(path, self))))
    }
}

impl Scalable for ClipTextConfig {
    fn widths(&mut self) -> Vec<Width<'_>> {
        layer_widths(&mut self.hidden_size, &mut self.intermediate_size)
    }

    fn build(&self) -> Result<Shapes, String> {
        Ok(Shapes::of_tensors(|path| drop(ClipText::new(path, self))))
    }
}

impl ClipVisionConfig {
    fn widths(&mut self) -> Vec<Width<'_>> {
        layer_widths(&mut self.hidden_size, &mut self.intermediate_size)
    }
}

impl Scalable for ClipConfig {
    fn widths(&mut self) -> Vec<Width<'_>> {
        self.text_config.widths().into_iter().chain(self.vision_config.widths()).collect()
    }

    fn build(&self) -> Result<Shapes, String> {
        Ok(Shapes::of_tensors(|path| drop(Clip::new(path, self))))
    }
}

impl Scalable for ClipTower {
    fn widths(&mut self) -> Vec<Width<'_>> {
        self.vision.widths()
    }

    fn build(&self) -> Result<Shapes, String> {
        Ok(Shapes::of_tensors(|path| drop(ClipVision::new(path, &self.vision, self.projection_dim))))
    }
}

impl Scalable for VitConfig {
    fn widths(&mut self) -> Vec<Width<'_>> {
        layer_widths(&mut self.hidden_size, &mut self.intermediate_size)
    }

    fn build(&self) -> Result<Shapes, String> {
        Ok(Shapes::of(&Loaded::fresh(|path| Vit::new(path, self))))
    }
}

impl Scalable for EncoderConfig {
    fn widths(&mut self) -> Vec<Width<'_>> {
        let step = self.num_attention_heads;
        let hidden = Width { key: "hidden_size", side: &mut self.hidden_size, step };
        vec![hidden, width("intermediate_size", &mut self.intermediate_size)]
    }

    fn build(&self) -> Result<Shapes, String> {
        let network = Loaded::try_fresh(|path| Encoder::new(path, self));
        network.map(|network| Shapes::of(&network)).map_err(|error| error.to_string())
    }
}

impl Scalable for DecoderConfig {
    fn widths(&mut self) -> Vec<Width<'_>> {
        // Positions turn pairs of a head's features.
        let step = if self.head_dim.is_some() { 1 } else { 2 * self.num_attention_heads };
        let hidden = Width { key: "hidden_size", side: &mut self.hidden_size, step };
        vec![hidden, width("intermediate_size", &mut self.intermediate_size)]
    }

    fn build(&self) -> Result<Shapes, String> {
        let network = Loaded::try_fresh(|path| Decoder::new(path, self));
        network.map(|network| Shapes::of(&network)).map_err(|error| error.to_string())
    }
}
