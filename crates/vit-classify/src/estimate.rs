//! What a trial will cost, from one measured pass of the transformer.

use finetune::{PassCost, trained_bytes};
use models::Frozen;
use runner::Estimate;
use tch::{Kind, Tensor};

use crate::settings::{Settings, trial_of};
use crate::world::Network;

/// A training step costs about three forward passes.
const PASSES_PER_STEP: f64 = 3.0;
/// Pictures of the measured pass, where a pass may have as many.
const PICTURES: usize = 32;
/// Bytes of a trained f32 parameter: itself, its gradient, and AdamW's two moments.
const BYTES_PER_PARAMETER: u64 = 16;

/// Measures forward passes over a pass's pictures.
pub fn measure(network: &Network, settings: &Settings) -> PassCost {
    let config = network.config();
    let rows = settings.pictures_per_pass.min(PICTURES) as i64;
    let kind = settings.common.precision.kind();
    let pixels = Tensor::zeros([rows, 3, config.image_size, config.image_size], (kind, network.device));
    let pass = || {
        let features = gradient_mode::off(|| network.vit.network.features(&pixels, &Frozen));
        let _ = f64::try_from(features.sum(Kind::Double)); // waits for the device
    };
    // What training keeps of a token: about 12 hidden vectors and 3 of the feed-forward block in each layer.
    let kept = (12 * config.hidden_size + 3 * config.intermediate_size) * config.num_hidden_layers * 4;
    PassCost::measured(rows, (kept * config.num_tokens()) as u64, pass)
}

/// What decides how long a trial takes: pictures of the training split and of the other, and classes.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub train: usize,
    pub test: usize,
    pub num_classes: usize,
}

/// Cost of one trial.
pub fn estimate(network: &Network, sizes: Sizes, cost: PassCost, settings: &Settings) -> Estimate {
    let limited = |count: usize, limit: Option<usize>| count.min(limit.unwrap_or(usize::MAX));
    let train = limited(sizes.train, settings.train_limit);
    let test = limited(sizes.test, settings.test_limit);
    let num_scorings = 1 + settings.common.evaluate_at.len();
    let seen = settings.epochs as f64 * PASSES_PER_STEP * train as f64 + (num_scorings * test) as f64;
    let sites = network.sites(&network.head(sizes.num_classes));
    let trained_bytes = trained_bytes(&sites, &trial_of(settings, 1), BYTES_PER_PARAMETER);
    let at_once = settings.common.batch.min(train).min(settings.pictures_per_pass);
    let pixels = 4 * 3 * network.config().image_size.pow(2) as u64 * (train + test) as u64;
    cost.estimate(seen, at_once as f64, trained_bytes, network.vit.bytes() as u64 + pixels)
}
