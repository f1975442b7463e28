//! Names and sizes of networks' parts, without weights.
//!
//! A network of this crate is built twice, at a small width and at twice that. Each side of each tensor is a constant plus a
//! multiple of the width, so the two give every side at any width, and nothing about the network is written a second time.

use delora_core::{PartShape, Role, SiteShape};
use serde_json::Value;
use tch::nn;

use crate::layers::{Adaptable, HiddenSite, Linear};
use crate::loaded::Loaded;
use crate::networks::Network;
use crate::published;
use crate::weights::Layout;

/// A public checkpoint's network, known by its `config.json`.
pub struct Architecture {
    pub name: &'static str,
    pub title: &'static str,
    pub config: fn() -> Value,
}

pub static ARCHITECTURES: [Architecture; 13] = [
    architecture("sd15", "UNet of Stable Diffusion 1.5", published::sd15_unet),
    architecture("roberta-base", "encoder of RoBERTa-base, without pooler", published::roberta_base),
    architecture("llama2-7b", "LLaMA-2-7B", published::llama2_7b),
    architecture("sd15-vae", "VAE of Stable Diffusion 1.5 and 2.1", published::sd15_vae),
    architecture("sd15-text-encoder", "text encoder of Stable Diffusion 1.5", published::sd15_text_encoder),
    architecture("sd21", "UNet of Stable Diffusion 2.1", published::sd21_unet),
    architecture("sd21-text-encoder", "text encoder of Stable Diffusion 2.1", published::sd21_text_encoder),
    architecture("dino-vits16", "DINO ViT-S/16", published::dino_vits16),
    architecture("vit-base", "ViT-B/16 of ImageNet-21k", published::vit_base),
    architecture("clip-vit-base-patch32", "CLIP ViT-B/32", published::clip_base_32),
    architecture(
        "clip-vit-base-patch32-vision",
        "vision tower of CLIP ViT-B/32",
        published::clip_base_32_vision,
    ),
    architecture("clip-vit-large-patch14", "CLIP ViT-L/14", published::clip_large_14),
    architecture(
        "clip-vit-large-patch14-vision",
        "vision tower of CLIP ViT-L/14",
        published::clip_large_14_vision,
    ),
];

const fn architecture(name: &'static str, title: &'static str, config: fn() -> Value) -> Architecture {
    Architecture { name, title, config }
}

impl Architecture {
    pub fn shapes(&self) -> Shapes {
        let config = (self.config)();
        let network = Network::of(&config).expect("published networks are known");
        network.read(&config).expect("published configs are whole").shapes
    }
}

/// The parts of one network: its linear layers and hidden states in its own order, then its other tensors by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shapes {
    pub sites: Vec<SiteShape>,
}

impl Shapes {
    /// Those of a network that is there.
    pub fn of<T: Adaptable>(network: &Loaded<T>) -> Shapes {
        let linear = |(linear, role): (&Linear, Role)| {
            let (outputs, inputs) = linear.weight.size2().expect("a weight is a matrix");
            SiteShape::linear(&linear.name, role, [outputs, inputs], linear.bias.is_some())
        };
        let hidden = |site: HiddenSite| SiteShape { name: site.name, part: PartShape::Hidden(site.shape) };
        let linears = network.network.linears().into_iter().map(linear);
        let hidden = network.network.hidden_sites().into_iter().map(hidden);
        let others = network.other_tensors().into_iter();
        let others = others.map(|(name, value)| SiteShape::tensor(&name, &value.size()));
        Shapes { sites: linears.chain(hidden).chain(others).collect() }
    }

    /// Those of a network that no method adapts: its tensors.
    pub(crate) fn of_tensors(build: impl FnOnce(&nn::Path)) -> Shapes {
        let store = nn::VarStore::new(tch::Device::Cpu);
        build(&store.root());
        let layout: Layout =
            store.variables().iter().map(|(name, value)| (name.clone(), value.size())).collect();
        Shapes { sites: layout.iter().map(|(name, shape)| SiteShape::tensor(name, shape)).collect() }
    }

    /// Those of the network that `config` asks for, of which no more is built than shows them.
    ///
    /// An error says what is impossible in `config`.
    pub fn of_config<C: Scalable>(config: &C) -> Result<Shapes, String> {
        let unit = unit(&mut config.clone())?;
        let at = |width: i64| {
            let mut scaled = config.clone();
            scaled.widths().into_iter().for_each(|width_of| *width_of.side = *width_of.side / unit * width);
            scaled.build()
        };
        let mut shapes = at(1)?;
        if unit == 1 {
            return Ok(shapes);
        }
        let twice = at(2)?;
        let side = |one: i64, two: i64| one + (two - one) * (unit - 1);
        for (one, two) in shapes.sites.iter_mut().zip(&twice.sites) {
            match (&mut one.part, &two.part) {
                (PartShape::Linear(one), PartShape::Linear(two)) => {
                    one.in_features = side(one.in_features, two.in_features);
                    one.out_features = side(one.out_features, two.out_features);
                }
                (PartShape::Tensor(one), PartShape::Tensor(two)) => {
                    one.iter_mut().zip(two).for_each(|(one, two)| *one = side(*one, *two));
                }
                (PartShape::Hidden(one), PartShape::Hidden(two)) => {
                    one.features = side(one.features, two.features);
                }
                _ => unreachable!("both widths have the same parts"),
            }
        }
        Ok(shapes)
    }

    /// Every weight and bias by name.
    pub fn layout(&self) -> Layout {
        let mut layout = Layout::new();
        for SiteShape { name, part } in &self.sites {
            match part {
                PartShape::Linear(shape) => {
                    layout.insert(format!("{name}.weight"), vec![shape.out_features, shape.in_features]);
                    layout.extend(shape.has_bias.then(|| (format!("{name}.bias"), vec![shape.out_features])));
                }
                PartShape::Tensor(shape) => _ = layout.insert(name.clone(), shape.clone()),
                PartShape::Hidden(_) | PartShape::TaskTensor(_) => {}
            }
        }
        layout
    }

    /// Weights and biases.
    pub fn num_parameters(&self) -> i64 {
        self.sites.iter().map(SiteShape::num_values).sum()
    }

    pub fn num_tensors(&self) -> usize {
        self.layout().len()
    }
}

/// The `config.json` of a network, which can be built at other widths.
pub trait Scalable: Clone {
    /// What every side of a tensor is a constant plus multiples of.
    fn widths(&mut self) -> Vec<Width<'_>>;

    /// The parts of the network as it is. An error says what is impossible.
    fn build(&self) -> Result<Shapes, String>;
}

/// A number of a config that decides sides of tensors.
pub struct Width<'a> {
    pub key: &'static str,
    pub side: &'a mut i64,
    /// What it has to be a multiple of.
    pub step: i64,
}

/// The largest number that all widths can be divided by.
fn unit(config: &mut impl Scalable) -> Result<i64, String> {
    let mut unit = 0;
    for Width { key, side, step } in config.widths() {
        if *side < 1 {
            return Err(format!("`{key}` is {side}; it has to be positive"));
        }
        // A width that is no multiple is for the network to refuse.
        let steps = if step > 0 && *side % step == 0 { *side / step } else { 1 };
        unit = greatest_common_divisor(unit, steps);
    }
    Ok(unit.max(1))
}

fn greatest_common_divisor(one: i64, other: i64) -> i64 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}
