//! The condition encoder of a ControlNet: a coloured segmentation map to features of the UNet's first level.
//!
//! Convolutions 3 × 3 with padding 1 and SiLU between them. With widths c0, c1, …, cn and `outputs` features they are
//! 3 → c0, then c(i) → c(i) and c(i) → c(i+1) with stride 2 for each i, then cn → outputs, which starts at zero so
//! that a fresh encoder adds nothing. A map is scaled down by 2ⁿ, which has to be what the VAE does.
//!
//! Here parameters are arguments, not state: each trial trains its own, side by side in a bank.
//! Reference: diffusers' `ControlNetConditioningEmbedding`, lllyasviel/ControlNet's `input_hint_block`.

use std::path::Path;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, nn};

use crate::weights::naming::{self, Naming};
use crate::weights::{WeightsError, find_weights, load_named};

/// The keys of a ControlNet's `config.json` that decide shapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionEncoderConfig {
    /// Channels of the map.
    #[serde(default = "default_channels")]
    pub conditioning_channels: i64,
    /// Widths c0, c1, …
    #[serde(default = "default_widths")]
    pub conditioning_embedding_out_channels: Vec<i64>,
    /// Widths of the UNet's levels; the encoder makes as many features as the first has.
    pub block_out_channels: Vec<i64>,
}

impl ConditionEncoderConfig {
    /// The encoder of maps with the three channels of a picture, in front of a UNet whose levels have the widths `blocks`.
    pub fn of_pictures(widths: &[i64], blocks: &[i64]) -> ConditionEncoderConfig {
        ConditionEncoderConfig {
            conditioning_channels: 3,
            conditioning_embedding_out_channels: widths.to_vec(),
            block_out_channels: blocks.to_vec(),
        }
    }
}

fn default_channels() -> i64 {
    3
}

fn default_widths() -> Vec<i64> {
    vec![16, 32, 96, 256]
}

/// Sizes of which no encoder can be built.
#[derive(Debug, thiserror::Error)]
#[error(
    "conditioning_channels {}, conditioning_embedding_out_channels {:?}, block_out_channels {:?}: each needs a size, and sizes are positive",
    .0.conditioning_channels, .0.conditioning_embedding_out_channels, .0.block_out_channels
)]
pub struct ConditionSizesError(ConditionEncoderConfig);

/// One of the encoder's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionParameter {
    /// The name that diffusers gives it behind `controlnet_cond_embedding.`, e.g. `blocks.3.weight`.
    pub name: String,
    /// `[outputs, inputs, 3, 3]` or `[outputs]`
    pub shape: Vec<i64>,
}

#[derive(Debug, Clone)]
struct Convolution {
    name: String,
    inputs: i64,
    outputs: i64,
    stride: i64,
}

impl Convolution {
    fn forward(&self, hidden: &Tensor, weight: &Tensor, bias: &Tensor, groups: i64) -> Tensor {
        hidden.conv2d(weight, Some(bias), [self.stride; 2], [KERNEL / 2; 2], [1, 1], groups)
    }
}

/// The encoder's layers, without their parameters.
#[derive(Debug, Clone)]
pub struct ConditionEncoder {
    convolutions: Vec<Convolution>,
}

const KERNEL: i64 = 3;
const DIFFUSERS_PREFIX: &str = "controlnet_cond_embedding.";
const LDM_PREFIX: &str = "control_model.";

impl ConditionEncoder {
    /// Errors: a list without sizes, or a size below 1.
    pub fn new(config: &ConditionEncoderConfig) -> Result<ConditionEncoder, ConditionSizesError> {
        let widths = &config.conditioning_embedding_out_channels;
        let positive = |sizes: &[i64]| !sizes.is_empty() && sizes.iter().all(|&size| size > 0);
        if !positive(widths) || !positive(&config.block_out_channels) || config.conditioning_channels < 1 {
            return Err(ConditionSizesError(config.clone()));
        }
        let convolution =
            |name: String, inputs, outputs, stride| Convolution { name, inputs, outputs, stride };
        let mut convolutions =
            vec![convolution("conv_in".into(), config.conditioning_channels, widths[0], 1)];
        for (level, pair) in widths.windows(2).enumerate() {
            convolutions.push(convolution(format!("blocks.{}", 2 * level), pair[0], pair[0], 1));
            convolutions.push(convolution(format!("blocks.{}", 2 * level + 1), pair[0], pair[1], 2));
        }
        let last = widths[widths.len() - 1];
        convolutions.push(convolution("conv_out".into(), last, config.block_out_channels[0], 1));
        Ok(ConditionEncoder { convolutions })
    }

    /// Side of a map by side of its features: a power of two.
    pub fn downscaling(&self) -> i64 {
        self.convolutions.iter().map(|convolution| convolution.stride).product()
    }

    /// Number of features.
    pub fn outputs(&self) -> i64 {
        self.convolutions[self.convolutions.len() - 1].outputs
    }

    /// Weight and bias of each convolution, in the order in which [`ConditionEncoder::forward`] wants them.
    pub fn parameters(&self) -> Vec<ConditionParameter> {
        self.named(|_, convolution| convolution.name.clone())
    }

    /// Parameters under the names that `layer` gives to the layers by their number.
    fn named(&self, layer: impl Fn(usize, &Convolution) -> String) -> Vec<ConditionParameter> {
        let both = |(index, convolution): (usize, &Convolution)| {
            let layer = layer(index, convolution);
            let weight = vec![convolution.outputs, convolution.inputs, KERNEL, KERNEL];
            [
                ConditionParameter { name: format!("{layer}.weight"), shape: weight },
                ConditionParameter { name: format!("{layer}.bias"), shape: vec![convolution.outputs] },
            ]
        };
        self.convolutions.iter().enumerate().flat_map(both).collect()
    }

    /// Fresh parameters in f32 on the CPU: PyTorch's default, uniform in ±1/sqrt(fan-in), and zero for the last
    /// convolution. `stream` gives the random numbers of the parameter it is asked for by name.
    pub fn initial<R: Rng>(&self, mut stream: impl FnMut(&str) -> R) -> Vec<Tensor> {
        let last = self.convolutions.len() - 1;
        let draw = |(index, parameter): (usize, ConditionParameter)| {
            let convolution = index / 2; // a weight and a bias each
            if convolution == last {
                return Tensor::zeros(parameter.shape, (Kind::Float, Device::Cpu));
            }
            let fan_in = self.convolutions[convolution].inputs * KERNEL * KERNEL;
            let bound = 1.0 / (fan_in as f64).sqrt();
            let mut generator = stream(&parameter.name);
            let count = parameter.shape.iter().product::<i64>();
            let values: Vec<f32> =
                (0..count).map(|_| (bound * (2.0 * generator.random::<f64>() - 1.0)) as f32).collect();
            Tensor::from_slice(&values).view(parameter.shape.as_slice())
        };
        self.parameters().into_iter().enumerate().map(draw).collect()
    }

    /// `parameters` with each layer but the last scaled and shifted so that its features over `maps`
    /// `[N, channels, H, W]` have zero mean and unit variance. PyTorch's default shrinks what tells one label from
    /// another several times at each layer, so that little of it arrives at the last and training starts slowly.
    ///
    /// Source: Mishkin and Matas 2016, layer-sequential unit variance. Panics as [`ConditionEncoder::forward`] does.
    pub fn standardized(&self, mut parameters: Vec<Tensor>, maps: &Tensor) -> Vec<Tensor> {
        let over = [0i64, 2, 3];
        let mut hidden = maps.shallow_clone();
        for (index, convolution) in self.convolutions[..self.convolutions.len() - 1].iter().enumerate() {
            let [weight, bias] = [0, 1].map(|part| parameters[2 * index + part].shallow_clone());
            let features = convolution.forward(&hidden, &weight, &bias, 1);
            let deviation = features.std_dim(over.as_slice(), false, false).clamp_min(1e-12);
            let mean = features.mean_dim(over.as_slice(), false, None);
            let on_features = |values: &Tensor| values.view([1, -1, 1, 1]);
            hidden = ((features - on_features(&mean)) / on_features(&deviation)).silu();
            parameters[2 * index] = weight / deviation.view([-1, 1, 1, 1]);
            parameters[2 * index + 1] = (bias - mean) / deviation;
        }
        parameters
    }

    /// Features `[N, outputs, H / downscaling, W / downscaling]` of `maps` `[N, channels, H, W]` in [0, 1], in their
    /// kind. Sides that are no multiple of the downscaling round up.
    ///
    /// Panics unless `parameters` are those that [`ConditionEncoder::parameters`] lists.
    pub fn forward(&self, parameters: &[Tensor], maps: &Tensor) -> Tensor {
        self.convolve(1, parameters, maps)
    }

    /// The same as [`ConditionEncoder::forward`] for K trials at once: each of `parameters` is `[K, …]`, the rows of `maps`
    /// `[K·N, channels, H, W]` are ordered by trial, and so are those of the features.
    pub fn forward_stacked(&self, parameters: &[Tensor], maps: &Tensor) -> Tensor {
        let (rows, channels, height, width) = maps.size4().expect("maps are [K·N, channels, H, W]");
        let trials = parameters[0].size()[0];
        let batch = rows / trials;
        // Trials lie side by side in the channels, and a group of each convolution is a trial.
        let folded = maps.view([trials, batch, channels, height, width]).transpose(0, 1); // [N, K, C, H, W]
        let folded = folded.reshape([batch, trials * channels, height, width]);
        let parameters: Vec<Tensor> = parameters.iter().map(|parameter| parameter.flatten(0, 1)).collect();
        let features = self.convolve(trials, &parameters, &folded); // [N, K·outputs, h, w]
        let (_, _, height, width) = features.size4().expect("features are [N, K·outputs, h, w]");
        let features = features.view([batch, trials, self.outputs(), height, width]).transpose(0, 1);
        features.reshape([rows, self.outputs(), height, width])
    }

    /// `maps` `[N, groups·channels, H, W]` through all layers; parameters are `[groups·outputs, …]`.
    fn convolve(&self, groups: i64, parameters: &[Tensor], maps: &Tensor) -> Tensor {
        assert_eq!(parameters.len(), 2 * self.convolutions.len(), "a weight and a bias of each convolution");
        let kind = maps.kind();
        let mut hidden = maps.shallow_clone();
        for (index, convolution) in self.convolutions.iter().enumerate() {
            if index > 0 {
                hidden = hidden.silu();
            }
            let [weight, bias] = [0, 1].map(|part| parameters[2 * index + part].to_kind(kind));
            hidden = convolution.forward(&hidden, &weight, &bias, groups);
        }
        hidden
    }

    /// Pretrained parameters in f32 on the CPU, from the file at `path` or, where that is a folder, its
    /// `diffusion_pytorch_model.safetensors`. Tensors that are not the encoder's are passed over.
    ///
    /// A file has either diffusers' names (`controlnet_cond_embedding.…`) or those of the original ControlNet
    /// (`control_model.input_hint_block.…`), with or without the prefix.
    /// Errors: as [`crate::load_weights`]; a missing tensor is named in the layout that the file comes closer to.
    pub fn load(&self, path: &Path) -> Result<Vec<Tensor>, WeightsError> {
        let file = if path.is_dir() { find_weights(path)? } else { path.to_owned() };
        let diffusers =
            |_: usize, convolution: &Convolution| format!("{DIFFUSERS_PREFIX}{}", convolution.name);
        // An activation lies between two convolutions there, and counts.
        let ldm = |index: usize, _: &Convolution| format!("{LDM_PREFIX}input_hint_block.{}", 2 * index);
        match self.load_named(&file, diffusers, &naming::CONDITION_ENCODER) {
            Err(first @ WeightsError::Missing { .. }) => {
                match self.load_named(&file, ldm, &naming::CONDITION_ENCODER_LDM) {
                    Err(second @ WeightsError::Missing { .. }) if missing(&first) <= missing(&second) => {
                        Err(first)
                    }
                    other => other,
                }
            }
            other => other,
        }
    }

    fn load_named(
        &self,
        file: &Path,
        layer: impl Fn(usize, &Convolution) -> String,
        naming: &Naming,
    ) -> Result<Vec<Tensor>, WeightsError> {
        let mut store = nn::VarStore::new(Device::Cpu);
        let root = store.root();
        let variable = |parameter: ConditionParameter| {
            let path = parameter.name.split('.').collect::<Vec<_>>();
            let (name, layers) = path.split_last().expect("a name has parts");
            let layer = layers.iter().fold(root.clone(), |path, part| path / part);
            layer.zeros(name, &parameter.shape)
        };
        let parameters: Vec<Tensor> = self.named(layer).into_iter().map(variable).collect();
        load_named(&store, file, naming)?;
        store.freeze();
        Ok(parameters)
    }
}

fn missing(error: &WeightsError) -> usize {
    match error {
        WeightsError::Missing { more, .. } => more + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn encoder(widths: &[i64], outputs: i64) -> ConditionEncoder {
        ConditionEncoder::new(&ConditionEncoderConfig::of_pictures(widths, &[outputs])).unwrap()
    }

    /// Every parameter random, the last ones too.
    fn random(encoder: &ConditionEncoder) -> Vec<Tensor> {
        let draw = |parameter: ConditionParameter| {
            Tensor::randn(parameter.shape, (Kind::Float, Device::Cpu)).set_requires_grad(true)
        };
        encoder.parameters().into_iter().map(draw).collect()
    }

    fn stream(name: &str) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(name.len() as u64)
    }

    #[test]
    fn the_paper_s_encoder_has_1_086_480_parameters_in_eight_convolutions() {
        let config: ConditionEncoderConfig =
            serde_json::from_str(r#"{ "block_out_channels": [320, 640, 1280, 1280] }"#).unwrap();
        let encoder = ConditionEncoder::new(&config).unwrap();
        let parameters = encoder.parameters();
        assert_eq!(parameters.len(), 2 * 8);
        assert_eq!(parameters.iter().map(|one| one.shape.iter().product::<i64>()).sum::<i64>(), 1_086_480);
        assert_eq!((encoder.downscaling(), encoder.outputs()), (8, 320));
        let maps = Tensor::zeros([1, 3, 64, 48], (Kind::Float, Device::Cpu));
        let features = encoder.forward(&encoder.initial(stream), &maps);
        assert_eq!(features.size(), [1, 320, 8, 6]);
    }

    #[test]
    fn a_fresh_encoder_gives_zeros_and_its_inner_layers_do_not() {
        let encoder = encoder(&[4, 6, 8], 5);
        let mut parameters = encoder.initial(stream);
        let maps = Tensor::rand([2, 3, 8, 8], (Kind::Float, Device::Cpu));
        assert_eq!(encoder.forward(&parameters, &maps).abs().max().double_value(&[]), 0.0);
        let last = parameters.len() - 2;
        parameters[last] = Tensor::ones_like(&parameters[last]);
        assert!(encoder.forward(&parameters, &maps).abs().max().double_value(&[]) > 0.0);
        for (parameter, shape) in parameters.iter().zip(encoder.parameters()).take(last) {
            let layer = shape.name.rsplit_once('.').unwrap().0;
            let weight = encoder.parameters().into_iter().find(|one| one.name == format!("{layer}.weight"));
            let bound = 1.0 / (weight.unwrap().shape[1..].iter().product::<i64>() as f64).sqrt();
            let largest = parameter.abs().max().double_value(&[]);
            assert!(largest <= bound && largest > 0.5 * bound, "{}: {largest} of {bound}", shape.name);
        }
    }

    #[test]
    fn standardized_layers_have_zero_mean_and_unit_variance_over_the_maps() {
        let widths = [4, 6, 8];
        let encoder = encoder(&widths, 5);
        let maps = Tensor::rand([16, 3, 16, 16], (Kind::Double, Device::Cpu));
        let parameters = encoder.initial(stream).iter().map(|one| one.to_kind(Kind::Double)).collect();
        let parameters = encoder.standardized(parameters, &maps);
        let mut hidden = maps;
        for (index, convolution) in encoder.convolutions[..encoder.convolutions.len() - 1].iter().enumerate()
        {
            let features =
                convolution.forward(&hidden, &parameters[2 * index], &parameters[2 * index + 1], 1);
            let rows = features.transpose(0, 1).flatten(1, 3); // [features, rest]
            let largest = |values: Tensor| values.abs().max().double_value(&[]);
            assert!(largest(rows.mean_dim([1i64].as_slice(), false, None)) < 1e-9, "{}", convolution.name);
            assert!(
                largest(rows.std_dim([1i64].as_slice(), false, false) - 1.0) < 1e-9,
                "{}",
                convolution.name
            );
            hidden = features.silu();
        }
        let last = &parameters[parameters.len() - 2..];
        assert!(last.iter().all(|one| one.abs().max().double_value(&[]) == 0.0), "the last layer stays zero");
    }

    #[test]
    fn a_stack_of_trials_equals_each_trial_alone_and_so_do_its_gradients() {
        let encoder = encoder(&[4, 6, 8], 5);
        // In f64: random weights make large values, whose sums in f32 depend on their order in the fifth digit.
        let exact = |one: Tensor| one.detach().to_kind(Kind::Double).set_requires_grad(true);
        let trials: Vec<Vec<Tensor>> =
            (0..3).map(|_| random(&encoder).into_iter().map(exact).collect()).collect();
        let maps = Tensor::rand([3 * 2, 3, 8, 12], (Kind::Double, Device::Cpu));
        let column =
            |index: usize| trials.iter().map(|trial| trial[index].shallow_clone()).collect::<Vec<_>>();
        let stacked: Vec<Tensor> =
            (0..trials[0].len()).map(|index| Tensor::stack(&column(index), 0)).collect();
        let all = encoder.forward_stacked(&stacked, &maps);
        let weights = Tensor::randn_like(&all);
        let wanted: Vec<Tensor> = trials.iter().flatten().map(Tensor::shallow_clone).collect();
        let gradients = |output: Tensor| {
            Tensor::run_backward(&[(output * &weights).sum(Kind::Double)], &wanted, false, false)
        };
        let alone = trials
            .iter()
            .enumerate()
            .map(|(k, trial)| encoder.forward(trial, &maps.narrow(0, 2 * k as i64, 2)));
        let alone = Tensor::cat(&alone.collect::<Vec<_>>(), 0);
        let close = |ours: &Tensor, theirs: &Tensor| {
            let difference = (ours - theirs).abs().max() / theirs.abs().max();
            assert!(difference.double_value(&[]) < 1e-5, "differs by {difference}");
        };
        close(&all, &alone);
        for (ours, theirs) in gradients(all).iter().zip(gradients(alone)) {
            close(ours, &theirs);
        }
    }

    #[test]
    fn sizes_of_zero_and_empty_lists_are_refused() {
        for (widths, blocks) in [(vec![], vec![4]), (vec![4, 0], vec![4]), (vec![4], vec![])] {
            let config = ConditionEncoderConfig::of_pictures(&widths, &blocks);
            let message = ConditionEncoder::new(&config).unwrap_err().to_string();
            assert!(message.contains("conditioning_embedding_out_channels"), "{message}");
        }
    }
}
