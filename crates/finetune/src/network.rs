//! Networks under a bank: the one place that knows networks and banks.
//!
//! [`sites`] says what of a network can be adapted, [`BankHook`] sends its layers and hidden states through a bank.

use std::path::Path;

use delora_core::{Bank, Group, Part, Place, Role, Site, SiteShape, Start, TensorRun};
use models::Loaded;
use models::config::Config;
use models::shapes::{Scalable, Shapes};
use models::{
    Adaptable, Conv2d, Dropout, DropoutMask, Embedding, GroupNorm, Hidden, HiddenSite, Hook, LayerNorm,
    Learned, Linear, RmsNorm,
};
use tch::{Kind, Tensor};

use crate::dropout::StepDropout;
use crate::watch::Watch;

/// Everything of a network that can be adapted: its linear layers and hidden states in its own order, then its other
/// tensors by name.
pub fn sites<T: Adaptable>(network: &Loaded<T>) -> Vec<Site> {
    let linear = |(linear, role): (&Linear, Role)| {
        Site::linear(&linear.name, role, &linear.weight, linear.bias.as_ref())
    };
    let hidden = |site: HiddenSite| Site { name: site.name, part: Part::Hidden(site.shape) };
    let linears = network.network.linears().into_iter().map(linear);
    let hidden = network.network.hidden_sites().into_iter().map(hidden);
    let others = network.other_tensors().into_iter().map(|(name, value)| Site::tensor(&name, &value));
    linears.chain(hidden).chain(others).collect()
}

/// transformers' `initializer_range`: new heads are drawn from N(0, 0.02²), their biases are 0.
const HEAD_STD: f64 = 0.02;

/// The weights and biases of a task's head of linear `layers`, which each trial trains for itself.
pub fn head_sites(layers: &[&Linear]) -> Vec<Site> {
    let of_layer = |layer: &&Linear| {
        let site = |part: &str, tensor: &Tensor, group, start| {
            Site::task_tensor(&format!("{}.{part}", layer.name), &tensor.size(), group, start)
        };
        let weight = site("weight", &layer.weight, Group::Head, Start::Normal { std: HEAD_STD });
        let bias = layer.bias.as_ref().map(|bias| site("bias", bias, Group::HeadBias, Start::Zero));
        std::iter::once(weight).chain(bias)
    };
    layers.iter().flat_map(of_layer).collect()
}

/// What [`sites`] would list, without weights, for the network whose `config.json` is at `path`; `None` where that cannot
/// be read.
pub fn sites_of<C: Scalable + Config>(path: &Path) -> Option<Vec<SiteShape>> {
    let config: C = models::read_config(path).ok()?;
    Some(Shapes::of_config(&config).ok()?.sites)
}

/// Sends a network's layers and hidden states through a bank; rows are trial-major, as many for each trial.
pub struct BankHook<'a> {
    bank: &'a Bank,
    dropout: Option<&'a StepDropout<'a>>,
    watch: Option<Watch>,
}

impl<'a> BankHook<'a> {
    /// Without dropout.
    pub fn new(bank: &'a Bank) -> BankHook<'a> {
        BankHook { bank, dropout: None, watch: None }
    }

    /// With the dropout of a training step.
    pub fn training(bank: &'a Bank, dropout: &'a StepDropout<'a>) -> BankHook<'a> {
        BankHook { bank, dropout: Some(dropout), watch: None }
    }

    /// Without dropout, and looking at what goes into norms: see [`BankHook::overflowed`].
    pub fn evaluating(bank: &'a Bank) -> BankHook<'a> {
        BankHook { bank, dropout: None, watch: Some(Watch::default()) }
    }

    /// Whether a norm of the network has got values of a slot, since the hook was made, that are not finite or too large
    /// for the norm's sums: it makes zeros of them, and what the network gives then is finite and the same for any input.
    pub fn overflowed(&self) -> Vec<bool> {
        let watch = self.watch.as_ref().expect("the hook was made to evaluate");
        watch.overflowed(self.bank.num_trials())
    }

    fn look(&self, input: &Tensor) {
        if let Some(watch) = &self.watch {
            watch.look(input, self.trials());
        }
    }

    fn trials(&self) -> i64 {
        self.bank.num_trials() as i64
    }

    /// A tensor of each trial, [trials, shape…]; `None` where it is frozen for all.
    fn stacked(&self, name: &str, frozen: &Tensor, kind: Kind) -> Option<Tensor> {
        let values_of_run = |TensorRun { trials, values }| {
            values.unwrap_or_else(|| {
                let frozen = frozen.to_kind(kind).unsqueeze(0);
                let mut sizes = frozen.size();
                sizes[0] = trials;
                frozen.expand(sizes, false)
            })
        };
        let runs: Vec<Tensor> = self.bank.tensor(name, kind)?.into_iter().map(values_of_run).collect();
        Some(Tensor::cat(&runs, 0))
    }

    /// A linear layer of a task's head, which each trial has for its own: `folded` [trials, rows, in_features].
    fn head(&self, layer: &Linear, folded: &Tensor) -> Option<Tensor> {
        let kind = folded.kind();
        let tensor =
            |part: &str, frozen: &Tensor| self.stacked(&format!("{}.{part}", layer.name), frozen, kind);
        let weight = tensor("weight", &layer.weight)?.transpose(1, 2); // [trials, in_features, out_features]
        let bias = layer.bias.as_ref().and_then(|bias| tensor("bias", bias));
        Some(match bias {
            Some(bias) => bias.unsqueeze(1).baddbmm(folded, &weight, 1.0, 1.0),
            None => folded.bmm(&weight),
        })
    }

    /// `layer` of each run of trials: once for those that have the frozen tensor, else trial by trial.
    fn by_run(
        &self,
        runs: Vec<TensorRun>,
        input: &Tensor,
        layer: impl Fn(&Tensor, Option<&Tensor>) -> Tensor,
    ) -> Tensor {
        let rows = input.size()[0] / self.trials();
        let mut outputs = Vec::new();
        let mut first = 0;
        for TensorRun { trials, values } in runs {
            let part = input.narrow(0, first * rows, trials * rows);
            match values {
                None => outputs.push(layer(&part, None)),
                Some(values) => {
                    let trials = part.chunk(trials, 0).into_iter().zip(values.unbind(0));
                    outputs.extend(trials.map(|(part, value)| layer(&part, Some(&value))));
                }
            }
            first += trials;
        }
        Tensor::cat(&outputs, 0)
    }

    /// `normalised` [trials · rows, …] times weight, plus bias, of each trial; `shape` is that of one row's weight.
    fn affine(
        &self,
        name: &str,
        [weight, bias]: [&Tensor; 2],
        normalised: &Tensor,
        shape: &[i64],
    ) -> Option<Tensor> {
        let kind = normalised.kind();
        let trained = |part: &str, frozen: &Tensor| self.stacked(&format!("{name}.{part}"), frozen, kind);
        let (own_weight, own_bias) = (trained("weight", weight), trained("bias", bias));
        if own_weight.is_none() && own_bias.is_none() {
            return None;
        }
        let rows = normalised.size()[0] / self.trials();
        let placed = |trained: Option<Tensor>, frozen: &Tensor| match trained {
            Some(trained) => {
                trained.repeat_interleave_self_int(rows, 0, None).view([&[-1], shape].concat().as_slice())
            }
            None => frozen.to_kind(kind).view([&[1], shape].concat().as_slice()),
        };
        Some(normalised * placed(own_weight, weight) + placed(own_bias, bias))
    }
}

impl Hook for BankHook<'_> {
    fn dropout(&self, dropout: Dropout, site: &str, shape: &[i64]) -> Option<DropoutMask> {
        self.dropout?.of_network(dropout, site, shape)
    }

    fn linear(&self, layer: &Linear, input: &Tensor) -> Tensor {
        let mut shape = input.size();
        let fold = |input: &Tensor| input.reshape([self.trials(), -1, shape[shape.len() - 1]]);
        let output = if self.bank.adapts(&layer.name) {
            let folded = fold(input);
            let mask = self.dropout.and_then(|dropout| dropout.of_adapters(&layer.name, &shape));
            let dropped = mask.map(|mask| fold(&mask.apply(input)));
            let seen = dropped.as_ref().unwrap_or(&folded);
            let (weight, bias) = layer.in_kind(input.kind());
            self.bank.forward_with(&layer.name, &weight, bias.as_ref(), &folded, seen)
        } else if let Some(output) = self.head(layer, &fold(input)) {
            output
        } else {
            return layer.forward(input);
        };
        *shape.last_mut().expect("an input has features") = layer.weight.size()[0];
        output.reshape(shape)
    }

    fn conv2d(&self, layer: &Conv2d, input: &Tensor) -> Tensor {
        let weights = self.bank.tensor(&format!("{}.weight", layer.name), input.kind());
        let bias = layer
            .bias
            .as_ref()
            .and_then(|bias| self.stacked(&format!("{}.bias", layer.name), bias, input.kind()));
        let frozen_bias = layer.bias.as_ref().filter(|_| bias.is_none());
        let output = match weights {
            None => layer.with_own_weight(input, frozen_bias),
            Some(runs) => self.by_run(runs, input, |part, weight| match weight {
                None => layer.with_own_weight(part, frozen_bias),
                Some(weight) => layer.with(part, weight, frozen_bias),
            }),
        };
        let Some(bias) = bias else { return output };
        let rows = input.size()[0] / self.trials();
        output + bias.repeat_interleave_self_int(rows, 0, None).unsqueeze(-1).unsqueeze(-1)
    }

    fn group_norm(&self, layer: &GroupNorm, input: &Tensor) -> Tensor {
        self.look(input);
        if !self.bank.adapts(&format!("{}.bias", layer.name)) {
            return layer.forward(input);
        }
        let tensors = [&layer.weight, &layer.bias];
        let channels = [layer.weight.size()[0], 1, 1];
        let trained = self.affine(&layer.name, tensors, &layer.normalised(input), &channels);
        trained.map_or_else(|| layer.forward(input), |trained| layer.activated(trained))
    }

    fn layer_norm(&self, layer: &LayerNorm, input: &Tensor) -> Tensor {
        self.look(input);
        if !self.bank.adapts(&format!("{}.bias", layer.name)) {
            return layer.forward(input);
        }
        let tensors = [&layer.weight, &layer.bias];
        let mut shape = vec![1; input.dim() - 1];
        *shape.last_mut().expect("an input has features") = layer.weight.size()[0];
        let trained = self.affine(&layer.name, tensors, &layer.normalised(input), &shape);
        trained.unwrap_or_else(|| layer.forward(input))
    }

    fn rms_norm(&self, layer: &RmsNorm, input: &Tensor) -> Tensor {
        self.look(input);
        let trained = self.stacked(&format!("{}.weight", layer.name), &layer.weight, input.kind());
        let Some(trained) = trained else { return layer.forward(input) };
        let rows = input.size()[0] / self.trials();
        let mut shape = vec![1; input.dim()];
        shape[0] = input.size()[0];
        shape[input.dim() - 1] = -1;
        layer.normalised(input) * trained.repeat_interleave_self_int(rows, 0, None).view(shape.as_slice())
    }

    fn unembed(&self, table: &Embedding, input: &Tensor) -> Tensor {
        let trained = self.stacked(&format!("{}.weight", table.name), &table.weight, input.kind());
        let Some(trained) = trained else { return table.logits(input) };
        let mut shape = input.size();
        let features = shape[shape.len() - 1];
        let logits = input.reshape([self.trials(), -1, features]).bmm(&trained.transpose(1, 2));
        *shape.last_mut().expect("an input has features") = -1;
        logits.view(shape.as_slice())
    }

    fn embedding(&self, layer: &Embedding, ids: &Tensor) -> Tensor {
        let frozen = |ids: &Tensor, table: &Tensor| Tensor::embedding(table, ids, -1, false, false);
        match self.bank.tensor(&format!("{}.weight", layer.name), layer.weight.kind()) {
            None => layer.forward(ids),
            Some(runs) => self.by_run(runs, ids, |ids, table| frozen(ids, table.unwrap_or(&layer.weight))),
        }
    }

    fn learned(&self, tensor: &Learned, rows: i64, kind: Kind) -> Tensor {
        let Some(trained) = self.stacked(&tensor.name, &tensor.value, kind) else {
            return tensor.expanded(rows, kind);
        };
        trained.repeat_interleave_self_int(rows / self.trials(), 0, None).squeeze_dim(1) // [rows, ..]
    }

    fn hidden(&self, site: &HiddenSite, hidden: &Hidden) -> Tensor {
        if !self.bank.adapts(&site.name) {
            return hidden.values.shallow_clone();
        }
        let (rows, tokens, features) = hidden.values.size3().expect("hidden states are [N, T, features]");
        let folded = |values: &Tensor| values.view([self.trials(), rows / self.trials(), tokens, features]);
        let reads_normed = self.bank.reads_normed(&site.name, hidden.values.kind());
        let normed = hidden.normed.filter(|_| reads_normed).map(|normed| folded(&normed()));
        let lengths = hidden.lengths.map(|lengths| lengths.view([self.trials(), -1]));
        let values = folded(&hidden.values.contiguous());
        let kept = self
            .dropout
            .filter(|_| site.shape.place == Place::BlockOutput)
            .and_then(|dropout| dropout.of_adapters(&site.name, &hidden.values.size()));
        let kept = kept.map(|mask| folded(&(mask.factor * mask.kept).to_kind(values.kind())));
        let hidden = delora_core::Hidden {
            values: &values,
            lengths: lengths.as_ref(),
            normed: normed.as_ref(),
            dropout: kept.as_ref(),
        };
        self.bank.hidden(&site.name, &hidden).reshape([rows, tokens, features])
    }
}
