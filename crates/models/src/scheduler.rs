//! The diffusion process: training noise, and the samplers DDIM, DPM-Solver++ (second order, multistep) and PNDM.
//!
//! Reference: diffusers' `DDPMScheduler`, `DDIMScheduler`, `DPMSolverMultistepScheduler` and `PNDMScheduler`, with Stable
//! Diffusion's constants (`scaled_linear` betas from 0.00085 to 0.012). Networks predict the noise, as those of Stable Diffusion
//! 1.x do, or the velocity, as those of 2.1 do (Salimans and Ho, 2022).

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The keys of `scheduler/scheduler_config.json` that decide the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScheduleConfig {
    pub num_train_timesteps: usize,
    pub beta_start: f64,
    pub beta_end: f64,
    /// Only `scaled_linear` is defined here: betas are squares of evenly spaced roots.
    pub beta_schedule: BetaSchedule,
    #[serde(default)]
    pub prediction_type: PredictionType,
    /// Betas are changed so that nothing of the picture is left at the last timestep (Lin et al., 2024).
    #[serde(default)]
    pub rescale_betas_zero_snr: bool,
    #[serde(default)]
    pub timestep_spacing: TimestepSpacing,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    ScaledLinear,
}

/// What the network predicts of a picture x under noise ε.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// ε
    #[default]
    Epsilon,
    /// The velocity sqrt(ᾱ) ε - sqrt(1 - ᾱ) x.
    VPrediction,
}

/// Where a sampler's timesteps lie. `Trailing` holds for every sampler. Instead of the other two each sampler has its own: DDIM
/// and PNDM `Leading`, DPM-Solver++ `Linspace`, as in the paper's scripts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    #[default]
    Leading,
    Linspace,
    /// From the last timestep in even steps.
    Trailing,
}

impl Default for ScheduleConfig {
    fn default() -> ScheduleConfig {
        ScheduleConfig {
            num_train_timesteps: 1000,
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            prediction_type: PredictionType::default(),
            rescale_betas_zero_snr: false,
            timestep_spacing: TimestepSpacing::default(),
        }
    }
}

/// The forward process: ᾱ at each training timestep, and what the network says of it.
#[derive(Debug, Clone)]
pub struct NoiseSchedule {
    alphas_cumprod: Vec<f64>,
    prediction_type: PredictionType,
    is_trailing: bool,
}

impl NoiseSchedule {
    pub fn new(config: &ScheduleConfig) -> NoiseSchedule {
        let (start, end) = (config.beta_start.sqrt(), config.beta_end.sqrt());
        let last = (config.num_train_timesteps - 1).max(1) as f64;
        let mut product = 1.0;
        let mut alphas_cumprod: Vec<f64> = (0..config.num_train_timesteps)
            .map(|step| {
                let root = start + (end - start) * step as f64 / last;
                product *= 1.0 - root * root;
                product
            })
            .collect();
        if config.rescale_betas_zero_snr {
            let (first, last) = (alphas_cumprod[0].sqrt(), product.sqrt());
            let share = |alpha: &f64| (alpha.sqrt() - last) * first / (first - last);
            alphas_cumprod = alphas_cumprod.iter().map(|alpha| share(alpha).powi(2)).collect();
        }
        NoiseSchedule {
            alphas_cumprod,
            prediction_type: config.prediction_type,
            is_trailing: config.timestep_spacing == TimestepSpacing::Trailing,
        }
    }

    /// ᾱ for timesteps 0, 1, ….
    pub fn alphas_cumprod(&self) -> &[f64] {
        &self.alphas_cumprod
    }

    /// sqrt(ᾱ) x + sqrt(1 - ᾱ) ε, with `sample` and `noise` `[N, C, H, W]` and `timesteps` `[N]` (i64).
    pub fn add_noise(&self, sample: &Tensor, noise: &Tensor, timesteps: &Tensor) -> Tensor {
        noised(sample, noise, &self.at(timesteps))
    }

    /// ᾱ at `timesteps` `[N]`, as f32 `[N]` on their device.
    pub fn at(&self, timesteps: &Tensor) -> Tensor {
        let table =
            Tensor::from_slice(&self.alphas_cumprod).to_kind(Kind::Float).to_device(timesteps.device());
        table.index_select(0, timesteps)
    }

    /// What a network is to predict for `clean` under `noise`, `[N, C, H, W]`, with `alphas` ᾱ `[N]`.
    pub fn target(&self, clean: &Tensor, noise: &Tensor, alphas: &Tensor) -> Tensor {
        match self.prediction_type {
            PredictionType::Epsilon => noise.shallow_clone(),
            PredictionType::VPrediction => {
                let (alphas, sigmas) = roots(alphas);
                noise * alphas - clean * sigmas
            }
        }
    }

    /// The picture in `sample` of which the network gave `output`.
    fn clean(&self, timestep: usize, sample: &Tensor, output: &Tensor) -> Tensor {
        let (alpha, sigma) = self.alpha_sigma(timestep);
        match self.prediction_type {
            PredictionType::Epsilon => (sample - output * sigma) / alpha,
            PredictionType::VPrediction => sample * alpha - output * sigma,
        }
    }

    /// The noise in `sample` of which the network gave `output`.
    fn noise(&self, timestep: usize, sample: &Tensor, output: &Tensor) -> Tensor {
        let (alpha, sigma) = self.alpha_sigma(timestep);
        match self.prediction_type {
            PredictionType::Epsilon => output.shallow_clone(),
            PredictionType::VPrediction => output * alpha + sample * sigma,
        }
    }

    fn alpha_sigma(&self, timestep: usize) -> (f64, f64) {
        let alpha_cumprod = self.alphas_cumprod[timestep];
        (alpha_cumprod.sqrt(), (1.0 - alpha_cumprod).sqrt())
    }

    /// Whether nothing of the picture is left at the last timestep.
    pub(crate) fn ends_in_noise(&self) -> bool {
        self.alphas_cumprod.last() == Some(&0.0)
    }

    /// Timesteps from noise to picture: a sampler's `own`, of all timesteps and steps, unless the model's are trailing.
    fn timesteps(&self, steps: usize, own: impl Fn(usize, usize) -> Vec<usize>) -> Vec<usize> {
        let count = self.alphas_cumprod.len();
        if !self.is_trailing {
            return own(count, steps);
        }
        let stride = count as f64 / steps as f64;
        let end = |step: usize| (count as f64 - step as f64 * stride).round_ties_even() as usize;
        (0..steps).map(|step| end(step).saturating_sub(1)).collect()
    }
}

/// sqrt(ᾱ) and sqrt(1 - ᾱ) of `alphas` `[N]`, as `[N, 1, 1, 1]`.
fn roots(alphas: &Tensor) -> (Tensor, Tensor) {
    let alphas = alphas.view([-1, 1, 1, 1]);
    let sigmas: Tensor = 1.0 - &alphas;
    (alphas.sqrt(), sigmas.sqrt())
}

/// sqrt(ᾱ) x + sqrt(1 - ᾱ) ε, with `sample` and `noise` `[N, C, H, W]` and `alphas` ᾱ `[N]`.
pub fn noised(sample: &Tensor, noise: &Tensor, alphas: &Tensor) -> Tensor {
    let (alphas, sigmas) = roots(alphas);
    sample * alphas + noise * sigmas
}

/// A sampler's plan: the timesteps at which the network is asked, and the step it makes with each answer.
pub trait Sampler {
    /// Training timesteps, from noise to picture.
    fn timesteps(&self) -> &[usize];
    /// The next sample from `sample` and what the network gave of it at `timesteps()[index]`, called in order.
    fn step(&mut self, index: usize, sample: &Tensor, output: &Tensor) -> Tensor;
}

/// DDIM with η = 0, `steps_offset` 1 and `set_alpha_to_one` false, as SD's configs have it.
#[derive(Debug)]
pub struct Ddim {
    schedule: NoiseSchedule,
    timesteps: Vec<usize>,
    stride: usize,
}

impl Ddim {
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Ddim {
        let timesteps = Ddim::timesteps(schedule, steps);
        Ddim { schedule: schedule.clone(), timesteps, stride: schedule.alphas_cumprod.len() / steps }
    }

    /// Timesteps from noise to picture; with as many steps as timesteps the first may be none of the process.
    pub(crate) fn timesteps(schedule: &NoiseSchedule, steps: usize) -> Vec<usize> {
        schedule.timesteps(steps, |count, steps| {
            let stride = count / steps;
            (0..steps).rev().map(|step| step * stride + 1).collect()
        })
    }
}

impl Sampler for Ddim {
    fn timesteps(&self) -> &[usize] {
        &self.timesteps
    }

    fn step(&mut self, index: usize, sample: &Tensor, output: &Tensor) -> Tensor {
        let timestep = self.timesteps[index];
        let clean = self.schedule.clean(timestep, sample, output);
        let noise = self.schedule.noise(timestep, sample, output);
        let (alpha_next, sigma_next) = self.schedule.alpha_sigma(timestep.saturating_sub(self.stride));
        clean * alpha_next + noise * sigma_next
    }
}

/// PNDM without its Runge-Kutta steps, as SD's configs have it: linear multistep of up to order four, after a second look at
/// the first step, for which the network is asked once more.
#[derive(Debug)]
pub struct Pndm {
    schedule: NoiseSchedule,
    timesteps: Vec<usize>,
    stride: usize,
    /// What the network gave before, the latest last.
    outputs: Vec<Tensor>,
    /// The sample of the first step, for its second look.
    first: Option<Tensor>,
}

impl Pndm {
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Pndm {
        let mut timesteps = Ddim::timesteps(schedule, steps);
        if let Some(&second) = timesteps.get(1) {
            timesteps.insert(1, second);
        }
        let (schedule, stride) = (schedule.clone(), schedule.alphas_cumprod.len() / steps);
        Pndm { schedule, timesteps, stride, outputs: Vec::new(), first: None }
    }

    /// The sample at timestep `to`, or at the end of the process below 0, from that at `from`.
    fn moved(&self, sample: &Tensor, from: usize, to: Option<usize>, output: &Tensor) -> Tensor {
        let noise = self.schedule.noise(from, sample, output);
        let alphas = &self.schedule.alphas_cumprod;
        let (alpha, alpha_to) = (alphas[from], alphas[to.unwrap_or(0)]);
        let divisor = alpha * (1.0 - alpha_to).sqrt() + (alpha * (1.0 - alpha) * alpha_to).sqrt();
        sample * (alpha_to / alpha).sqrt() - noise * ((alpha_to - alpha) / divisor)
    }
}

impl Sampler for Pndm {
    fn timesteps(&self) -> &[usize] {
        &self.timesteps
    }

    fn step(&mut self, index: usize, sample: &Tensor, output: &Tensor) -> Tensor {
        let timestep = self.timesteps[index];
        if index == 1 {
            // The same step again, with the mean of what was given at both its ends.
            let mean = (output + &self.outputs[0]) / 2.0;
            let first = self.first.take().expect("a first step came before");
            return self.moved(&first, timestep + self.stride, Some(timestep), &mean);
        }
        if index == 0 {
            self.first = Some(sample.shallow_clone());
        }
        self.outputs.push(output.shallow_clone());
        let order = self.outputs.len().min(4);
        let weights: &[f64] = match order {
            1 => &[1.0],
            2 => &[3.0 / 2.0, -1.0 / 2.0],
            3 => &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
            _ => &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
        };
        let latest = self.outputs.iter().rev().zip(weights).map(|(output, weight)| output * *weight);
        let combined = latest.reduce(|sum, term| sum + term).expect("one output at least");
        self.outputs.drain(..self.outputs.len() - order);
        self.moved(sample, timestep, timestep.checked_sub(self.stride), &combined)
    }
}

/// Where DPM-Solver++ ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalStep {
    /// At timestep 0, of second order unless fewer than 15 steps are made: diffusers 0.17.1, the paper's scripts.
    SigmaMin,
    /// At σ = 0, of first order: the default of newer diffusers.
    Zero,
}

/// DPM-Solver++(2M), midpoint form, data prediction.
#[derive(Debug)]
pub struct DpmSolverPlusPlus {
    schedule: NoiseSchedule,
    timesteps: Vec<usize>,
    final_step: FinalStep,
    previous: Option<Tensor>,
}

impl DpmSolverPlusPlus {
    pub fn new(schedule: &NoiseSchedule, steps: usize, final_step: FinalStep) -> DpmSolverPlusPlus {
        let timesteps = DpmSolverPlusPlus::timesteps(schedule, steps);
        let mut schedule = schedule.clone();
        // λ has to be finite, so diffusers keeps that much of the picture.
        schedule.alphas_cumprod.iter_mut().for_each(|alpha| *alpha = alpha.max(0.5f64.powi(24)));
        DpmSolverPlusPlus { schedule, timesteps, final_step, previous: None }
    }

    /// Timesteps from noise to picture. Where two round to one, as with almost as many steps as timesteps, it is asked once.
    pub(crate) fn timesteps(schedule: &NoiseSchedule, steps: usize) -> Vec<usize> {
        let mut timesteps = schedule.timesteps(steps, |count, steps| {
            let last = (count - 1) as f64;
            let timestep = |step: usize| (last * step as f64 / steps as f64).round_ties_even() as usize;
            (1..=steps).rev().map(timestep).collect()
        });
        timesteps.dedup();
        timesteps
    }

    /// α, σ and λ = ln(α/σ) of the `index`-th point of the trajectory; the end may be σ = 0, with λ infinite.
    fn point(&self, index: usize) -> (f64, f64, f64) {
        let (alpha, sigma) = match self.timesteps.get(index) {
            Some(&timestep) => self.schedule.alpha_sigma(timestep),
            None if self.final_step == FinalStep::Zero => (1.0, 0.0),
            None => self.schedule.alpha_sigma(0),
        };
        (alpha, sigma, (alpha / sigma).ln())
    }
}

impl Sampler for DpmSolverPlusPlus {
    fn timesteps(&self) -> &[usize] {
        &self.timesteps
    }

    fn step(&mut self, index: usize, sample: &Tensor, output: &Tensor) -> Tensor {
        let (_, sigma, lambda) = self.point(index);
        let (alpha_next, sigma_next, lambda_next) = self.point(index + 1);
        let clean = self.schedule.clean(self.timesteps[index], sample, output);
        let is_last = index + 1 == self.timesteps.len();
        let first_order_end = self.final_step == FinalStep::Zero || self.timesteps.len() < 15;
        let width = lambda_next - lambda;
        let target = match self.previous.take() {
            Some(previous) if !(is_last && first_order_end) => {
                let (_, _, lambda_before) = self.point(index - 1);
                let ratio = width / (lambda - lambda_before);
                &clean + (&clean - previous) * (0.5 * ratio)
            }
            _ => clean.shallow_clone(),
        };
        self.previous = Some(clean);
        sample * (sigma_next / sigma) - target * (alpha_next * ((-width).exp() - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// A predictor that knows the picture makes any number of steps end at it, with what noise timestep 0 has.
    #[test]
    fn as_many_steps_as_the_schedule_allows_end_at_the_picture() {
        let velocity =
            ScheduleConfig { prediction_type: PredictionType::VPrediction, ..ScheduleConfig::default() };
        let to_noise = ScheduleConfig {
            rescale_betas_zero_snr: true,
            timestep_spacing: TimestepSpacing::Trailing,
            ..velocity.clone()
        };
        for config in [ScheduleConfig::default(), velocity, to_noise] {
            let schedule = NoiseSchedule::new(&config);
            let solver = |steps| DpmSolverPlusPlus::new(&schedule, steps, FinalStep::SigmaMin);
            ends_at_the_picture(&schedule, Ddim::new(&schedule, 500), 500);
            if schedule.is_trailing {
                // DDIM takes even steps, so that steps which do not divide the timesteps evenly end elsewhere, as in diffusers.
                ends_at_the_picture(&schedule, Ddim::new(&schedule, 1000), 1000);
            } else {
                ends_at_the_picture(&schedule, Ddim::new(&schedule, 999), 999);
                ends_at_the_picture(&schedule, solver(999), 999);
                // Two of its timesteps round to one, as in diffusers.
                ends_at_the_picture(&schedule, solver(1000), 999);
            }
        }
    }

    fn ends_at_the_picture(schedule: &NoiseSchedule, mut sampler: impl Sampler, steps: usize) {
        let clean = Tensor::from_slice(&[0.3f64, -1.2, 2.0]).view([1, 1, 1, 3]);
        let noise = Tensor::from_slice(&[1.0f64, 0.4, -0.7]).view([1, 1, 1, 3]);
        let alphas = |timestep: usize| Tensor::from_slice(&[schedule.alphas_cumprod[timestep]]);
        let at = |timestep: usize| noised(&clean, &noise, &alphas(timestep));
        let timesteps = sampler.timesteps().to_vec();
        assert_eq!(timesteps.len(), steps);
        let mut sample = at(timesteps[0]);
        for (index, timestep) in timesteps.into_iter().enumerate() {
            let (alpha, sigma) = schedule.alpha_sigma(timestep);
            let noise = (&sample - &clean * alpha) / sigma;
            sample = sampler.step(index, &sample, &schedule.target(&clean, &noise, &alphas(timestep)));
        }
        let difference = (sample - at(0)).abs().max().to_device(Device::Cpu).double_value(&[]);
        assert!(difference < 1e-6, "{steps} steps of {:?}: {difference:e}", schedule.prediction_type);
    }
}
