//! Networks and schedulers against their reference implementations, on the files made by `models.py`,
//! `language_models.py`, `decoders.py`, `minilm.py`, `control.py`, `evaluators.py` and `pictures.py` of `tools/goldens`.

mod control;
mod decoders;
mod encoders;
mod evaluators;
mod minilm;
mod pictures;
mod single_file;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use models::clip::{Clip, ClipConfig, ClipText, ClipTextConfig, ClipVision, ClipVisionConfig};
use models::config::Config;
use models::scheduler::{
    Ddim, DpmSolverPlusPlus, FinalStep, NoiseSchedule, Pndm, PredictionType, Sampler, ScheduleConfig,
    TimestepSpacing,
};
use models::unet::UNet2DCondition;
use models::vae::AutoencoderKl;
use models::vit::{Vit, VitConfig};
use models::{Adaptable, Frozen, Hook, Linear, Loaded, Role, load_weights, read_config};
use tch::{Device, Kind, Tensor, nn};

const DIFFUSERS: &str = "diffusion_pytorch_model.safetensors";
const TRANSFORMERS: &str = "model.safetensors";
/// Sums run in another order than in the reference, through some hundred layers.
const NETWORK_TOLERANCE: f64 = 1e-4;
const SCHEDULE_TOLERANCE: f64 = 1e-5;

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(case)
}

fn tensors(case: &str) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(folder(case).join("io.safetensors")).unwrap().into_iter().collect()
}

/// The network of a case, with its weights; the store keeps them alive.
fn load<C: Config, N>(case: &str, file: &str, build: impl Fn(&nn::Path, &C) -> N) -> (nn::VarStore, N) {
    let store = nn::VarStore::new(Device::Cpu);
    let network = build(&store.root(), &read_config(&folder(case).join("config.json")).unwrap());
    load_weights(&store, &folder(case).join(file)).unwrap();
    (store, network)
}

fn assert_close(what: &str, ours: &Tensor, reference: &Tensor, tolerance: f64) {
    assert_eq!(ours.size(), reference.size(), "{what}: shapes differ");
    let difference = (ours - reference).abs().max().double_value(&[]);
    println!("{what}: largest difference {difference:.1e}");
    assert!(difference <= tolerance, "{what}: differs by {difference:e}, allowed are {tolerance:e}");
}

fn unet_matches(case: &str) {
    let io = tensors(case);
    let (_store, unet) = load(case, DIFFUSERS, UNet2DCondition::new);
    let inputs = ["sample", "context"].map(|name| io[name].copy().set_requires_grad(true));
    let output = unet.forward(&inputs[0], &io["timesteps"], &inputs[1], &Frozen);
    assert_close(case, &output, &io["output"], NETWORK_TOLERANCE);
    let loss = output.square().sum(Kind::Float) * 0.5;
    let gradients = Tensor::run_backward(&[loss], &inputs, false, false);
    // Gradients reach 10, and rounding grows with them: diffusers' own differ by 4.7e-4 between two CPUs.
    for (name, ours) in ["sample", "context"].iter().zip(&gradients) {
        let reference = &io[&format!("{name}_gradient")];
        let size = reference.abs().max();
        let what = format!("{case} gradient of the {name}, by its largest value");
        assert_close(&what, &(ours / &size), &(reference / &size), NETWORK_TOLERANCE);
    }
}

#[test]
fn unet_of_three_levels_matches_diffusers() {
    unet_matches("unet_three_levels");
}

#[test]
fn unet_of_four_levels_in_the_layout_of_stable_diffusion_matches_diffusers() {
    unet_matches("unet_four_levels");
}

#[test]
fn unet_with_linear_projections_and_heads_by_level_matches_diffusers() {
    unet_matches("unet_linear");
}

#[test]
fn channels_that_lie_last_change_rounding_alone() {
    let case = "unet_four_levels";
    let io = tensors(case);
    let (mut store, unet) = load(case, DIFFUSERS, UNet2DCondition::new);
    store.double();
    let unet = Loaded::built(unet, store);
    let gives = || {
        let inputs = ["sample", "context"].map(|name| io[name].to_kind(Kind::Double).set_requires_grad(true));
        let output = unet.network.forward(&inputs[0], &io["timesteps"], &inputs[1], &Frozen);
        let gradients = Tensor::run_backward(&[output.square().sum(Kind::Double)], &inputs, false, false);
        std::iter::once(output.detach()).chain(gradients).collect::<Vec<_>>()
    };
    let before = gives();
    unet.put_channels_last();
    let is_laid_out = |(_, kernel): (String, Tensor)| kernel.dim() < 4 || kernel.stride()[1] == 1;
    assert!(unet.other_tensors().into_iter().all(is_laid_out));
    for (laid_out, as_it_was) in gives().iter().zip(&before) {
        assert_close("in f64, channels last", laid_out, as_it_was, 1e-10);
    }
}

/// Makes the output of one layer longer. A constant would be invisible to a softmax or norm behind it.
struct Stretch<'a>(&'a str);

impl Hook for Stretch<'_> {
    fn linear(&self, layer: &Linear, input: &Tensor) -> Tensor {
        layer.forward(input) * if layer.name == self.0 { 1.5 } else { 1.0 }
    }
}

#[test]
fn every_linear_has_its_state_dict_name_and_reaches_the_output_through_the_hook() {
    reaches_the_output("unet_three_levels", 7); // two levels down, two up with two layers, the middle
    reaches_the_output("unet_linear", 11); // the same, each with one layer more
}

fn reaches_the_output(case: &str, transformers: usize) {
    let io = tensors(case);
    let (store, unet) = load(case, DIFFUSERS, UNet2DCondition::new);
    let variables = store.variables();
    let is_attention = |role: &Role| matches!(role, Role::Query | Role::Key | Role::Value | Role::Output);
    let attention = || unet.linears().into_iter().filter(|(_, role)| is_attention(role));
    assert_eq!(attention().count(), 8 * transformers);
    for (layer, _) in unet.linears() {
        assert_eq!(layer.weight, variables[&format!("{}.weight", layer.name)], "{}", layer.name);
        let hook = Stretch(&layer.name);
        let output =
            gradient_mode::off(|| unet.forward(&io["sample"], &io["timesteps"], &io["context"], &hook));
        let moved = (output - &io["output"]).abs().max().double_value(&[]);
        assert!(moved > 1e-3, "{} moved the output by {moved}", layer.name);
    }
}

fn vae_matches(case: &str) {
    let io = tensors(case);
    let (_store, vae) = load(case, DIFFUSERS, AutoencoderKl::new);
    let (mean, logvar) = gradient_mode::off(|| vae.encode(&io["image"]));
    assert_close(&format!("{case} mean"), &mean, &io["mean"], NETWORK_TOLERANCE);
    assert_close(&format!("{case} logvar"), &logvar, &io["logvar"], NETWORK_TOLERANCE);
    let decoded = gradient_mode::off(|| vae.decode(&io["latent"]));
    assert_close(&format!("{case} decoded"), &decoded, &io["decoded"], NETWORK_TOLERANCE);
}

#[test]
fn vae_of_two_levels_matches_diffusers() {
    vae_matches("vae_two_levels");
}

#[test]
fn vae_of_three_levels_matches_diffusers() {
    vae_matches("vae_three_levels");
}

#[test]
fn clip_text_matches_transformers() {
    let io = tensors("clip_text");
    let (_store, text) =
        load("clip_text", TRANSFORMERS, |path, config: &ClipTextConfig| ClipText::new(path, config));
    let hidden = gradient_mode::off(|| text.forward(&io["ids"], Kind::Float));
    assert_close("clip_text hidden", &hidden, &io["hidden"], NETWORK_TOLERANCE);
    let pooled = text.pool(&io["hidden"], &io["ids"]);
    assert_close("clip_text pooled", &pooled, &io["pooled"], 0.0); // a row of `hidden`, nothing computed
}

#[test]
fn clip_vision_matches_transformers() {
    let io = tensors("clip_vision");
    let projection = io["image_embeds"].size()[1];
    let (_store, vision) = load("clip_vision", TRANSFORMERS, |path, config: &ClipVisionConfig| {
        ClipVision::new(path, config, projection)
    });
    let embeds = gradient_mode::off(|| vision.forward(&io["image"]));
    assert_close("clip_vision", &embeds, &io["image_embeds"], NETWORK_TOLERANCE);
}

#[test]
fn clip_matches_transformers() {
    let io = tensors("clip");
    let (_store, clip) = load("clip", TRANSFORMERS, |path, config: &ClipConfig| Clip::new(path, config));
    let _guard = tch::no_grad_guard();
    let text = clip.text_features(&io["ids"], Kind::Float);
    assert_close("clip text features", &text, &io["text_embeds"], NETWORK_TOLERANCE);
    let image = clip.vision.forward(&io["image"]);
    assert_close("clip image features", &image, &io["image_embeds"], NETWORK_TOLERANCE);
    assert_close("clip scale", &clip.scale(), &io["scale"], 1e-6);
}

#[test]
fn vit_matches_transformers() {
    let io = tensors("vit");
    let (_store, vit) = load("vit", TRANSFORMERS, |path, config: &VitConfig| Vit::new(path, config));
    let class_token = gradient_mode::off(|| vit.forward(&io["image"]));
    assert_close("vit", &class_token, &io["hidden"].select(1, 0), NETWORK_TOLERANCE);
}

#[test]
fn noise_schedule_matches_diffusers() {
    let io = tensors("schedulers");
    let schedule = NoiseSchedule::new(&ScheduleConfig::default());
    let ours = Tensor::from_slice(schedule.alphas_cumprod()).to_kind(Kind::Float);
    assert_close("alphas_cumprod", &ours, &io["alphas_cumprod"], SCHEDULE_TOLERANCE);
    let noisy = schedule.add_noise(&io["start"], &io["noise"], &io["add_noise_timesteps"]);
    assert_close("add_noise", &noisy, &io["add_noise"], SCHEDULE_TOLERANCE);
    let schedule = NoiseSchedule::new(&to_noise());
    let ours = Tensor::from_slice(schedule.alphas_cumprod()).to_kind(Kind::Float);
    assert_close("alphas_cumprod down to 0", &ours, &io["to_noise_alphas_cumprod"], SCHEDULE_TOLERANCE);
    let noisy = schedule.add_noise(&io["start"], &io["noise"], &io["add_noise_timesteps"]);
    assert_close("add_noise, down to 0", &noisy, &io["to_noise_add_noise"], SCHEDULE_TOLERANCE);
    let alphas = schedule.at(&io["add_noise_timesteps"]);
    let velocity = schedule.target(&io["start"], &io["noise"], &alphas);
    assert_close("velocity, down to 0", &velocity, &io["to_noise_velocity"], SCHEDULE_TOLERANCE);
}

fn velocity() -> ScheduleConfig {
    ScheduleConfig { prediction_type: PredictionType::VPrediction, ..ScheduleConfig::default() }
}

fn trailing() -> ScheduleConfig {
    ScheduleConfig { timestep_spacing: TimestepSpacing::Trailing, ..velocity() }
}

fn to_noise() -> ScheduleConfig {
    ScheduleConfig { rescale_betas_zero_snr: true, ..trailing() }
}

/// Follows a whole trajectory under the fake network of the script.
fn sampler_matches(case: &str, mut sampler: impl Sampler) {
    let io = tensors("schedulers");
    let asked: Vec<i64> = (&io[&format!("{case}.timesteps")]).try_into().unwrap();
    let timesteps: Vec<usize> = sampler.timesteps().to_vec();
    assert_eq!(timesteps.iter().map(|&t| t as i64).collect::<Vec<_>>(), asked, "{case}: timesteps differ");
    let mut sample = io["start"].shallow_clone();
    let mut samples = Vec::new();
    for (index, &timestep) in timesteps.iter().enumerate() {
        let noise = &sample * 0.3 + 0.1 * (timestep as f64).sin();
        sample = sampler.step(index, &sample, &noise);
        samples.push(sample.shallow_clone());
    }
    assert_close(case, &Tensor::stack(&samples, 0), &io[&format!("{case}.samples")], SCHEDULE_TOLERANCE);
}

#[test]
fn samplers_match_diffusers() {
    let schedule = NoiseSchedule::new(&ScheduleConfig::default());
    for steps in [10, 25] {
        sampler_matches(&format!("ddim_{steps}"), Ddim::new(&schedule, steps));
        sampler_matches(&format!("pndm_{steps}"), Pndm::new(&schedule, steps));
        for (name, end) in [("dpm_sigma_min", FinalStep::SigmaMin), ("dpm_zero", FinalStep::Zero)] {
            sampler_matches(&format!("{name}_{steps}"), DpmSolverPlusPlus::new(&schedule, steps, end));
        }
        for (name, config) in [("velocity", velocity()), ("to_noise", to_noise())] {
            let schedule = NoiseSchedule::new(&config);
            sampler_matches(&format!("ddim_{name}_{steps}"), Ddim::new(&schedule, steps));
            let solver = DpmSolverPlusPlus::new(&schedule, steps, FinalStep::SigmaMin);
            sampler_matches(&format!("dpm_{name}_{steps}"), solver);
        }
        for (name, config) in [("velocity", velocity()), ("trailing", trailing())] {
            let sampler = Pndm::new(&NoiseSchedule::new(&config), steps);
            sampler_matches(&format!("pndm_{name}_{steps}"), sampler);
        }
    }
}
