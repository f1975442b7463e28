//! The head that classifies sequences, and the encoder with it.

use std::path::Path;

use delora_core::Role;
use tch::{Device, Kind, Tensor, nn};

use super::{Encoder, EncoderConfig, EncoderError, ModelType, Tokens};
use crate::attention::sub;
use crate::layers::{Adaptable, Dropout, HiddenSite, Hook, Linear, drop_out};
use crate::loaded::{Loaded, load_folder};
use crate::weights::{naming, read_config};

/// Logits out of an encoder's hidden states: out(tanh(dense(first token))), with dropout before `out`, and in
/// RoBERTa before `dense` too.
#[derive(Debug)]
pub struct ClassificationHead {
    model_type: ModelType,
    /// RoBERTa's `classifier.dense`, BERT's `bert.pooler.dense`: `[hidden_size, hidden_size]`.
    pub dense: Linear,
    /// RoBERTa's `classifier.out_proj`, BERT's `classifier`: `[num_labels, hidden_size]`.
    pub out: Linear,
}

impl ClassificationHead {
    /// Builds the head beside its encoder in `path`, with PyTorch's default weights. transformers draws new heads
    /// from N(0, 0.02²) with biases of 0 instead.
    pub fn new(path: &nn::Path, config: &EncoderConfig, num_labels: i64) -> ClassificationHead {
        let (dense, out) = match config.model_type {
            ModelType::Roberta => ("classifier.dense", "classifier.out_proj"),
            ModelType::Bert => ("bert.pooler.dense", "classifier"),
        };
        let features = config.hidden_size;
        ClassificationHead {
            model_type: config.model_type,
            dense: Linear::new(sub(path, dense), features, features, true),
            out: Linear::new(sub(path, out), features, num_labels, true),
        }
    }

    /// Logits `[N, num_labels]` of `hidden` `[N, T, hidden_size]`, in its kind.
    pub fn forward(&self, hidden: &Tensor, hook: &dyn Hook) -> Tensor {
        let drop = |layer: &Linear, input| drop_out(hook, Dropout::Head, &layer.name, input);
        let first = hidden.select(1, 0); // [N, hidden_size]
        let first = if self.model_type == ModelType::Roberta { drop(&self.dense, first) } else { first };
        let pooled = hook.linear(&self.dense, &first).tanh();
        hook.linear(&self.out, &drop(&self.out, pooled))
    }

    /// A head by itself, whose weights are whatever the hook says.
    pub fn alone(config: &EncoderConfig, num_labels: i64, device: Device) -> ClassificationHead {
        ClassificationHead::new(&nn::VarStore::new(device).root(), config, num_labels)
    }

    /// Its layers, from the hidden states to the logits.
    pub fn linears(&self) -> [&Linear; 2] {
        [&self.dense, &self.out]
    }
}

/// An encoder with its head.
#[derive(Debug)]
pub struct SequenceClassifier {
    pub encoder: Encoder,
    pub head: ClassificationHead,
}

impl SequenceClassifier {
    /// Builds the network in `path` with fresh weights. Errors as [`Encoder::new`].
    pub fn new(
        path: &nn::Path,
        config: &EncoderConfig,
        num_labels: i64,
    ) -> Result<SequenceClassifier, EncoderError> {
        let encoder = Encoder::new(path, config)?;
        Ok(SequenceClassifier { encoder, head: ClassificationHead::new(path, config, num_labels) })
    }

    /// Logits `[N, num_labels]`, computed in `kind`. Panics as [`Encoder::forward`].
    pub fn forward(&self, tokens: &Tokens, kind: Kind, hook: &dyn Hook) -> Tensor {
        self.head.forward(&self.encoder.forward(tokens, kind, hook), hook)
    }
}

impl Adaptable for SequenceClassifier {
    fn linears(&self) -> Vec<(&Linear, Role)> {
        let head = self.head.linears().map(|linear| (linear, Role::Other));
        self.encoder.linears().into_iter().chain(head).collect()
    }

    fn hidden_sites(&self) -> Vec<HiddenSite> {
        self.encoder.hidden_sites()
    }
}

/// The classifier of `num_labels` classes of a folder with `config.json` and weights, frozen.
pub fn load_classifier(
    folder: &Path,
    num_labels: i64,
    device: Device,
) -> Result<Loaded<SequenceClassifier>, EncoderError> {
    let config: EncoderConfig = read_config(&folder.join("config.json"))?;
    load_folder(folder, &naming::CLASSIFIER, Kind::Float, device, |path| {
        SequenceClassifier::new(path, &config, num_labels)
    })
}
