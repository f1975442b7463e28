//! The diffusion process: training noise, and the samplers DDIM, DPM-Solver++ (second order, multistep) and PNDM.
//!
//! Reference: diffusers' `DDPMScheduler`, `DDIMScheduler`, `DPMSolverMultistepScheduler` and `PNDMScheduler`, with Stable
//! Diffusion's constants (`scaled_linear` betas from 0.00085 to 0.012, noise prediction).

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
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    ScaledLinear,
}

impl Default for ScheduleConfig {
    fn default() -> ScheduleConfig {
        ScheduleConfig {
            num_train_timesteps: 1000,
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
        }
    }
}

/// The forward process: ᾱ at each training timestep.
#[derive(Debug, Clone)]
pub struct NoiseSchedule {
    alphas_cumprod: Vec<f64>,
}

impl NoiseSchedule {
    pub fn new(config: &ScheduleConfig) -> NoiseSchedule {
        let (start, end) = (config.beta_start.sqrt(), config.beta_end.sqrt());
        let last = (config.num_train_timesteps - 1).max(1) as f64;
        let mut product = 1.0;
        let alphas_cumprod = (0..config.num_train_timesteps)
            .map(|step| {
                let root = start + (end - start) * step as f64 / last;
                product *= 1.0 - root * root;
                product
            })
            .collect();
        NoiseSchedule { alphas_cumprod }
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

    fn alpha_sigma(&self, timestep: usize) -> (f64, f64) {
        let alpha_cumprod = self.alphas_cumprod[timestep];
        (alpha_cumprod.sqrt(), (1.0 - alpha_cumprod).sqrt())
    }
}

/// sqrt(ᾱ) x + sqrt(1 - ᾱ) ε, with `sample` and `noise` `[N, C, H, W]` and `alphas` ᾱ `[N]`.
pub fn noised(sample: &Tensor, noise: &Tensor, alphas: &Tensor) -> Tensor {
    let alphas = alphas.view([-1, 1, 1, 1]);
    let sigmas: Tensor = 1.0 - &alphas;
    sample * alphas.sqrt() + noise * sigmas.sqrt()
}

/// A sampler's plan: the timesteps at which the network is asked, and the step it makes with each answer.
pub trait Sampler {
    /// Training timesteps, from noise to picture.
    fn timesteps(&self) -> &[usize];
    /// The next sample from `sample` and the predicted noise at `timesteps()[index]`, called in order.
    fn step(&mut self, index: usize, sample: &Tensor, noise: &Tensor) -> Tensor;
}

/// DDIM with η = 0, `leading` spacing, `steps_offset` 1 and `set_alpha_to_one` false, as SD's configs have it.
#[derive(Debug)]
pub struct Ddim {
    schedule: NoiseSchedule,
    timesteps: Vec<usize>,
    stride: usize,
}

impl Ddim {
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Ddim {
        let num_train_timesteps = schedule.alphas_cumprod.len();
        let timesteps = Ddim::timesteps(num_train_timesteps, steps);
        Ddim { schedule: schedule.clone(), timesteps, stride: num_train_timesteps / steps }
    }

    /// Timesteps from noise to picture; with as many steps as timesteps the first is none of the process.
    pub(crate) fn timesteps(num_train_timesteps: usize, steps: usize) -> Vec<usize> {
        let stride = num_train_timesteps / steps;
        (0..steps).rev().map(|step| step * stride + 1).collect()
    }
}

impl Sampler for Ddim {
    fn timesteps(&self) -> &[usize] {
        &self.timesteps
    }

    fn step(&mut self, index: usize, sample: &Tensor, noise: &Tensor) -> Tensor {
        let timestep = self.timesteps[index];
        let (alpha, sigma) = self.schedule.alpha_sigma(timestep);
        let (alpha_next, sigma_next) = self.schedule.alpha_sigma(timestep.saturating_sub(self.stride));
        let clean = (sample - noise * sigma) / alpha;
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
    /// Noises predicted before, the latest last.
    noises: Vec<Tensor>,
    /// The sample of the first step, for its second look.
    first: Option<Tensor>,
}

impl Pndm {
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Pndm {
        let num_train_timesteps = schedule.alphas_cumprod.len();
        let mut timesteps = Ddim::timesteps(num_train_timesteps, steps);
        if let Some(&second) = timesteps.get(1) {
            timesteps.insert(1, second);
        }
        let (schedule, stride) = (schedule.clone(), num_train_timesteps / steps);
        Pndm { schedule, timesteps, stride, noises: Vec::new(), first: None }
    }

    /// The sample at timestep `to`, or at the end of the process below 0, from that at `from`.
    fn moved(&self, sample: &Tensor, from: usize, to: Option<usize>, noise: &Tensor) -> Tensor {
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

    fn step(&mut self, index: usize, sample: &Tensor, noise: &Tensor) -> Tensor {
        let timestep = self.timesteps[index];
        if index == 1 {
            // The same step again, with the mean of the noises at both its ends.
            let mean = (noise + &self.noises[0]) / 2.0;
            let first = self.first.take().expect("a first step came before");
            return self.moved(&first, timestep + self.stride, Some(timestep), &mean);
        }
        if index == 0 {
            self.first = Some(sample.shallow_clone());
        }
        self.noises.push(noise.shallow_clone());
        let order = self.noises.len().min(4);
        let weights: &[f64] = match order {
            1 => &[1.0],
            2 => &[3.0 / 2.0, -1.0 / 2.0],
            3 => &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
            _ => &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
        };
        let latest = self.noises.iter().rev().zip(weights).map(|(noise, weight)| noise * *weight);
        let combined = latest.reduce(|sum, term| sum + term).expect("one noise at least");
        self.noises.drain(..self.noises.len() - order);
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
        let timesteps = DpmSolverPlusPlus::timesteps(schedule.alphas_cumprod.len(), steps);
        DpmSolverPlusPlus { schedule: schedule.clone(), timesteps, final_step, previous: None }
    }

    /// Timesteps from noise to picture. Where two round to one, as with almost as many steps as timesteps, it is asked once.
    pub(crate) fn timesteps(num_train_timesteps: usize, steps: usize) -> Vec<usize> {
        let last = (num_train_timesteps - 1) as f64;
        let timestep = |step: usize| (last * step as f64 / steps as f64).round_ties_even() as usize;
        let mut timesteps: Vec<usize> = (1..=steps).rev().map(timestep).collect();
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

    fn step(&mut self, index: usize, sample: &Tensor, noise: &Tensor) -> Tensor {
        let (alpha, sigma, lambda) = self.point(index);
        let (alpha_next, sigma_next, lambda_next) = self.point(index + 1);
        let clean = (sample - noise * sigma) / alpha;
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
        let schedule = NoiseSchedule::new(&ScheduleConfig::default());
        let clean = Tensor::from_slice(&[0.3f64, -1.2, 2.0]);
        let noise = Tensor::from_slice(&[1.0f64, 0.4, -0.7]);
        let at = |timestep: usize| {
            let (alpha, sigma) = schedule.alpha_sigma(timestep);
            &clean * alpha + &noise * sigma
        };
        let solver = |steps| DpmSolverPlusPlus::new(&schedule, steps, FinalStep::SigmaMin);
        let samplers: [(Box<dyn Sampler>, usize); 4] = [
            (Box::new(Ddim::new(&schedule, 999)), 999),
            (Box::new(Ddim::new(&schedule, 500)), 500),
            (Box::new(solver(999)), 999),
            // Two of its timesteps round to one, as in diffusers.
            (Box::new(solver(1000)), 999),
        ];
        for (mut sampler, steps) in samplers {
            let timesteps = sampler.timesteps().to_vec();
            assert_eq!(timesteps.len(), steps);
            let mut sample = at(timesteps[0]);
            for (index, timestep) in timesteps.into_iter().enumerate() {
                let (alpha, sigma) = schedule.alpha_sigma(timestep);
                let predicted = (&sample - &clean * alpha) / sigma;
                sample = sampler.step(index, &sample, &predicted);
            }
            let difference = (sample - at(0)).abs().max().to_device(Device::Cpu).double_value(&[]);
            assert!(difference < 1e-6, "{steps}: {difference:e}");
        }
    }
}
