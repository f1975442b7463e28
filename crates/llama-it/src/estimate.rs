//! What a trial will cost, from one measured pass of the decoder.

use finetune::{PassCost, trained_bytes};
use models::Frozen;
use runner::Estimate;
use tch::{Kind, Tensor};

use crate::settings::{Settings, trial_of};
use crate::world::{Corpus, Exams, Network};

/// A training step costs about three forward passes, and a fourth where blocks are computed again.
const PASSES_PER_STEP: f64 = 3.0;
/// Tokens of a row of the measured pass.
const LENGTH: i64 = 64;
/// Bytes of a trained f32 parameter: itself, its gradient, and AdamW's two moments.
const BYTES_PER_PARAMETER: u64 = 16;

/// Bytes that training keeps of a token: about 8 hidden vectors and 4 of the feed-forward block in each layer, or what
/// goes into each, and logits with their gradient in f32.
pub fn bytes_per_token(config: &models::decoder::DecoderConfig, kind: Kind, checkpointing: bool) -> u64 {
    let (hidden, inner, layers) = (config.hidden_size, config.intermediate_size, config.num_hidden_layers);
    let block = 8 * hidden + 4 * inner;
    let blocks = if checkpointing { layers * hidden + block } else { layers * block };
    blocks as u64 * kind.elt_size_in_bytes() as u64 + 2 * 4 * config.vocab_size as u64
}

/// Measures forward passes over a pass's tokens.
pub fn measure(network: &Network, settings: &Settings) -> PassCost {
    let config = network.config();
    let length = LENGTH.min(config.max_position_embeddings);
    let rows = (settings.tokens_per_pass as i64 / length).clamp(1, 64);
    let ids = Tensor::full([rows, length], config.vocab_size / 2, (Kind::Int64, network.device));
    let pass = || {
        let llama = &network.llama.network;
        let hidden =
            gradient_mode::off(|| llama.logits(&llama.forward(&ids, network.kind, &Frozen), &Frozen));
        let _ = f64::try_from(hidden.sum(Kind::Double)); // waits for the device
    };
    let kept = bytes_per_token(config, network.kind, settings.checkpointing);
    PassCost::measured(rows * length, kept, pass)
}

/// Cost of one trial.
pub fn estimate(
    network: &Network,
    corpus: &Corpus,
    exams: &Exams,
    cost: PassCost,
    settings: &Settings,
) -> Estimate {
    let tokens =
        |examples: &[crate::Example]| examples.iter().map(|example| example.ids.len()).sum::<usize>() as f64;
    let train = tokens(&corpus.train);
    let asked = exams.prompts.iter().map(|prompt| {
        let later = prompt.continuations.iter().map(|own| own.len().saturating_sub(1)).sum::<usize>();
        prompt.context.len() + later
    });
    let asked = asked.sum::<usize>() as f64 + tokens(&corpus.test);
    let passes = PASSES_PER_STEP + f64::from(u8::from(settings.checkpointing));
    let epochs = if settings.trains() { settings.epochs as f64 } else { 0.0 };
    let trained_bytes = trained_bytes(&network.sites(), &trial_of(settings, 1), BYTES_PER_PARAMETER);
    let rows = settings.common.batch.min(corpus.train.len()) as f64;
    let at_once = (rows * train / corpus.train.len() as f64).min(settings.tokens_per_pass as f64);
    cost.estimate(epochs * passes * train + asked, at_once, trained_bytes, network.llama.bytes() as u64)
}
