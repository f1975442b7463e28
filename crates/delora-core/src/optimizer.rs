//! AdamW over stacks of trials: one update for all trials, each with its own settings and its own fate.

use fused::{AdamWStep, AdamWValues};
use tch::{Device, Kind, Tensor};

use crate::config::TrialConfig;
use crate::parameter_group::Group;

/// Steps whose coefficients are sent to the device at once, so that a step sends nothing.
const TABLE_STEPS: u64 = 256;

/// Values that an update has in hand at once, so that its intermediate tensors stay small beside a network's weights.
const VALUES_AT_ONCE: i64 = 1 << 22;

/// `torch.nn.utils.clip_grad_norm_`'s guard against division by zero.
const CLIP_EPS: f64 = 1e-6;

/// AdamW (decoupled weight decay, PyTorch's formula) over tensors [trials, values].
///
/// Learning rates, weight decay, betas, eps, schedule and gradient clipping belong to a trial. A trial whose loss
/// or gradient norm is not finite (in f32: above 1.8e19) is quarantined: from that step on its parameters stay as
/// they are. Nothing here waits for the device.
pub struct BankAdamW {
    /// Rate and decay of each tensor, for each trial.
    rates: Vec<Vec<[f64; 2]>>,
    trials: Vec<TrialConfig>,
    first_weight: Tensor,
    second_weight: Tensor,
    clip_norms: Option<Tensor>,
    /// The clipping of trials without one: a factor of 1, `[trials, 1]`.
    unclipped: Tensor,
    pub(crate) first_moments: Vec<Tensor>,
    pub(crate) second_moments: Vec<Tensor>,
    /// The step at which each trial was quarantined, or -1; `[trials]`.
    pub(crate) diverged_at: Tensor,
    table: Option<(u64, Tensor)>,
    device: Device,
}

impl BankAdamW {
    /// `parameters` has a tensor per group of `groups`; a trial without a rate for a group leaves it as it is.
    pub fn new(
        parameters: &[&Tensor],
        groups: &[Group],
        trials: &[TrialConfig],
        device: Device,
    ) -> BankAdamW {
        let rate = |trial: &TrialConfig, group| {
            let rate = trial.learning_rate.get(group).copied().unwrap_or(0.0);
            let decays = !trial.optimizer.undecayed.contains(group);
            [rate, if decays { trial.optimizer.weight_decay } else { 0.0 }]
        };
        let rates = groups.iter().map(|group| trials.iter().map(|trial| rate(trial, group)).collect());
        let column = |value: &dyn Fn(&TrialConfig) -> f64| {
            let values: Vec<f32> = trials.iter().map(|trial| value(trial) as f32).collect();
            Tensor::from_slice(&values).to_device(device)
        };
        let zeros = || parameters.iter().map(|values| values.detach().zeros_like()).collect();
        let clips = trials.iter().any(|trial| trial.optimizer.clip_norm.is_some());
        BankAdamW {
            rates: rates.collect(),
            first_weight: column(&|trial| 1.0 - trial.optimizer.betas[0]).unsqueeze(1),
            second_weight: column(&|trial| 1.0 - trial.optimizer.betas[1]).unsqueeze(1),
            unclipped: column(&|_| 1.0).unsqueeze(1),
            clip_norms: clips.then(|| column(&|trial| trial.optimizer.clip_norm.unwrap_or(f64::INFINITY))),
            first_moments: zeros(),
            second_moments: zeros(),
            diverged_at: Tensor::full([trials.len() as i64], -1, (Kind::Int64, device)),
            trials: trials.to_vec(),
            table: None,
            device,
        }
    }

    /// Which trials are not quarantined, `[trials]`.
    pub fn healthy(&self) -> Tensor {
        self.diverged_at.lt(0)
    }

    /// The step at which each trial was quarantined, or -1; `[trials]`.
    pub fn diverged_at(&self) -> Tensor {
        self.diverged_at.copy()
    }

    /// Update number `step`, counted from 0, of `parameters` by `gradients`, where `finite_losses` `[trials]` allows.
    pub fn step(&mut self, step: u64, parameters: &[&Tensor], gradients: &[Tensor], finite_losses: &Tensor) {
        gradient_mode::off(|| {
            let norms = self.gradient_norms(gradients);
            let sound = finite_losses.logical_and(&norms.isfinite());
            let fallen = self.healthy().logical_and(&sound.logical_not());
            let _ = self.diverged_at.masked_fill_(&fallen, step as i64);
            let healthy = self.healthy().unsqueeze(1); // [trials, 1]
            let clipping = self.clip_norms.as_ref().map(|limits| {
                (limits / (norms + CLIP_EPS)).clamp_max(1.0).unsqueeze(1) // [trials, 1]
            });
            let coefficients = self.coefficients(step);
            for (index, (parameter, gradient)) in parameters.iter().zip(gradients).enumerate() {
                let decay = coefficients[1 + 2 * index].where_scalarother(&healthy, 1.0);
                let size = coefficients[2 + 2 * index].where_scalarother(&healthy, 0.0);
                let values = AdamWValues {
                    values: parameter,
                    gradients: gradient,
                    first_moments: &self.first_moments[index],
                    second_moments: &self.second_moments[index],
                };
                let settings = AdamWStep {
                    weights: [&self.first_weight, &self.second_weight],
                    clipping: clipping.as_ref().unwrap_or(&self.unclipped),
                    decay: &decay,
                    size: &size,
                    eps: &coefficients[0],
                    is_sound: &healthy,
                };
                if fused::adamw(&values, &settings) {
                    continue;
                }
                let (all, at_once) =
                    (parameter.size()[1], (VALUES_AT_ONCE / self.trials.len() as i64).max(1));
                for start in (0..all).step_by(at_once as usize) {
                    let part = |tensor: &Tensor| tensor.narrow(1, start, at_once.min(all - start));
                    let gradient = part(gradient);
                    let clipped = clipping.as_ref().map(|factor| &gradient * factor);
                    let gradient = clipped.as_ref().unwrap_or(&gradient).where_scalarother(&healthy, 0.0);
                    let (mut first, mut second) =
                        (part(&self.first_moments[index]), part(&self.second_moments[index]));
                    let _ = first.lerp_tensor_(&gradient, &self.first_weight);
                    let _ = second.lerp_tensor_(&gradient.square(), &self.second_weight);
                    let denominator = second.sqrt().g_add_(&coefficients[0]);
                    let _ = part(parameter).g_mul_(&decay).addcdiv_(&(first * -&size), &denominator);
                }
            }
        });
    }

    /// Each trial's norm over all its tensors, `[trials]`.
    fn gradient_norms(&self, gradients: &[Tensor]) -> Tensor {
        let norm = |tensor: &Tensor| tensor.norm_scalaropt_dim(2, [1], false);
        match gradients {
            [] => Tensor::zeros([self.trials.len() as i64], (Kind::Float, self.device)),
            [only] => norm(only),
            several => norm(&Tensor::stack(&several.iter().map(norm).collect::<Vec<_>>(), 1)),
        }
    }

    /// eps of the bias-corrected form, then decay and step size of each tensor; each [trials, 1].
    fn coefficients(&mut self, step: u64) -> Vec<Tensor> {
        let (block, row) = (step / TABLE_STEPS, step % TABLE_STEPS);
        let table = match self.table.take() {
            Some((at, table)) if at == block => table,
            _ => self.table_of(block),
        };
        let coefficients = table.get(row as i64).unbind(0);
        self.table = Some((block, table));
        coefficients
    }

    /// [steps, coefficients, trials, 1], computed in f64.
    ///
    /// m̂ / (√v̂ + eps) = √c₂ / c₁ · m / (√v + eps √c₂) with cᵢ = 1 − βᵢᵗ, which spares correcting v itself.
    fn table_of(&self, block: u64) -> Tensor {
        let rows = 1 + 2 * self.rates.len();
        let mut values = Vec::with_capacity(TABLE_STEPS as usize * rows * self.trials.len());
        for step in block * TABLE_STEPS..(block + 1) * TABLE_STEPS {
            let correction = |beta: f64| 1.0 - beta.powf((step + 1) as f64);
            let second = |trial: &TrialConfig| correction(trial.optimizer.betas[1]).sqrt();
            values.extend(self.trials.iter().map(|trial| (trial.optimizer.eps * second(trial)) as f32));
            for rates in &self.rates {
                let rated = || rates.iter().zip(&self.trials);
                let rate = |([rate, _], trial): (&[f64; 2], &TrialConfig)| rate * trial.schedule.factor(step);
                values.extend(rated().map(|pair| (1.0 - rate(pair) * pair.0[1]) as f32));
                values.extend(rated().map(|pair| {
                    (rate(pair) * second(pair.1) / correction(pair.1.optimizer.betas[0])) as f32
                }));
            }
        }
        let shape = [TABLE_STEPS as i64, rows as i64, self.trials.len() as i64, 1];
        Tensor::from_slice(&values).view(shape).to_device(self.device)
    }
}
