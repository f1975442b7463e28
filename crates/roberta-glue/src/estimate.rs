//! What a trial will cost, from one measured pass of the encoder.

use finetune::{PassCost, trained_bytes};
use models::Frozen;
use models::roberta::Tokens;
use runner::Estimate;
use tch::{Kind, Tensor};

use crate::settings::{Settings, halves_of, trial_of};
use crate::tokens::Encoded;
use crate::world::{Corpus, Network};

/// A training step costs about three forward passes.
const PASSES_PER_STEP: f64 = 3.0;
/// Tokens of a row of the measured pass.
const LENGTH: i64 = 32;
/// Bytes of a trained f32 parameter: itself, its gradient, AdamW's two moments and the best epoch's copy.
const BYTES_PER_PARAMETER: u64 = 20;

/// Measures forward passes over a pass's tokens.
pub fn measure(network: &Network, settings: &Settings) -> PassCost {
    let config = network.config();
    let length = LENGTH.min(config.max_tokens());
    let rows = (settings.tokens_per_pass as i64 / length).clamp(1, 256);
    let ids = Tensor::full([rows, length], config.vocab_size / 2, (Kind::Int64, network.device));
    let mask = ids.ones_like();
    let pass = || {
        let tokens = Tokens { ids: &ids, mask: &mask, types: None };
        let kind = settings.common.precision.kind();
        let hidden = gradient_mode::off(|| network.encoder.network.forward(&tokens, kind, &Frozen));
        let _ = f64::try_from(hidden.sum(Kind::Double)); // waits for the device
    };
    // What training keeps of a token: about 12 hidden vectors and 3 of the feed-forward block in each layer.
    let kept = (12 * config.hidden_size + 3 * config.intermediate_size) * config.num_hidden_layers * 4;
    PassCost::measured(rows * length, kept as u64, pass)
}

/// Cost of one trial.
pub fn estimate(network: &Network, corpus: &Corpus, cost: PassCost, settings: &Settings) -> Estimate {
    let tokens = |rows: &[Encoded]| rows.iter().map(|row| row.ids.len()).sum::<usize>() as f64;
    let train = tokens(&corpus.train.encoded);
    let validation = tokens(&corpus.validation.encoded) / corpus.validation.encoded.len() as f64;
    // Too small a validation set is for the run to refuse.
    let halves = halves_of(settings, &corpus.task, corpus.validation.encoded.len(), true);
    let [tuning, test] = halves
        .map_or([0.0; 2], |halves| [halves.tuning, halves.test].map(|rows| rows.len() as f64 * validation));
    let seen = settings.epochs as f64 * (PASSES_PER_STEP * train + tuning) + test;
    let sites = network.sites(&network.head(&corpus.task));
    let trained_bytes = trained_bytes(&sites, &trial_of(settings, 1), BYTES_PER_PARAMETER);
    let rows = settings.common.batch.min(corpus.train.encoded.len()) as f64;
    let at_once = (rows * train / corpus.train.encoded.len() as f64).min(settings.tokens_per_pass as f64);
    cost.estimate(seen, at_once, trained_bytes, network.encoder.bytes() as u64)
}
