//! `BankAdamW` against AdamW written out for one number at a time, in f64.

use std::collections::BTreeMap;

use delora_core::{BankAdamW, Group, MethodConfig, OptimizerConfig, Schedule, TrialConfig, stream};
use rand::RngExt;
use serde_json::Map;
use tch::{Device, Tensor};

const STEPS: u64 = 300; // beyond one table of coefficients

fn config(
    rates: [f64; 2],
    betas: [f64; 2],
    weight_decay: f64,
    clip_norm: Option<f64>,
    schedule: Schedule,
) -> TrialConfig {
    // Strengths of a trial that clips do not decay.
    let undecayed = clip_norm.map(|_| Group::Strength).into_iter().collect();
    TrialConfig {
        method: MethodConfig { name: "delora".to_owned(), settings: Map::new() },
        learning_rate: BTreeMap::from([(Group::Angles, rates[0]), (Group::Strength, rates[1])]),
        optimizer: OptimizerConfig { betas, eps: 1e-6, weight_decay, undecayed, clip_norm },
        schedule,
        targets: None,
        seed: 0,
    }
}

fn trials() -> Vec<TrialConfig> {
    vec![
        config([1e-2, 3e-2], [0.9, 0.999], 0.1, None, Schedule::default()),
        config(
            [2e-2, 0.0],
            [0.8, 0.99],
            0.0,
            Some(0.7),
            Schedule::Linear { warmup_steps: 20, total_steps: 400 },
        ),
        config(
            [5e-3, 1e-1],
            [0.5, 0.9],
            0.3,
            Some(1e3),
            Schedule::Cosine { warmup_steps: 0, total_steps: 200 },
        ),
    ]
}

/// Gradients of both tensors of one trial at one step.
fn gradients(trial: usize, step: u64) -> [Vec<f32>; 2] {
    let mut generator = stream(trial as u64, &format!("gradient/{step}"));
    [5, 3].map(|count| (0..count).map(|_| 2.0 * generator.random::<f32>() - 0.8).collect())
}

/// torch.optim.AdamW and clip_grad_norm_, as their documentation states them.
fn reference(trial: usize, config: &TrialConfig, start: &[Vec<f32>; 2]) -> [Vec<f64>; 2] {
    let mut values =
        start.clone().map(|values| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>());
    let mut moments = values.clone().map(|values| vec![[0.0; 2]; values.len()]);
    let [beta1, beta2] = config.optimizer.betas;
    for step in 0..STEPS {
        let mut gradient =
            gradients(trial, step).map(|values| values.into_iter().map(f64::from).collect::<Vec<_>>());
        let norm = gradient.iter().flatten().map(|value| value * value).sum::<f64>().sqrt();
        let factor = config.optimizer.clip_norm.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0));
        gradient.iter_mut().flatten().for_each(|value| *value *= factor);
        for (index, group) in [Group::Angles, Group::Strength].iter().enumerate() {
            let rate = config.learning_rate[group] * config.schedule.factor(step);
            for place in 0..values[index].len() {
                let (gradient, moment) = (gradient[index][place], &mut moments[index][place]);
                let value = &mut values[index][place];
                let decays = !config.optimizer.undecayed.contains(group);
                *value *= 1.0 - if decays { rate * config.optimizer.weight_decay } else { 0.0 };
                moment[0] = beta1 * moment[0] + (1.0 - beta1) * gradient;
                moment[1] = beta2 * moment[1] + (1.0 - beta2) * gradient * gradient;
                let power = (step + 1) as i32;
                let corrected =
                    [moment[0] / (1.0 - beta1.powi(power)), moment[1] / (1.0 - beta2.powi(power))];
                *value -= rate * corrected[0] / (corrected[1].sqrt() + config.optimizer.eps);
            }
        }
    }
    values
}

fn stacked(rows: impl Iterator<Item = Vec<f32>>) -> Tensor {
    Tensor::stack(&rows.map(|row| Tensor::from_slice(&row)).collect::<Vec<_>>(), 0)
}

#[test]
fn every_trial_of_a_stack_follows_the_published_formula() {
    let trials = trials();
    let starts: Vec<[Vec<f32>; 2]> = (0..trials.len()).map(|trial| gradients(trial, 1_000_000)).collect();
    let parameters = [0, 1].map(|index| stacked(starts.iter().map(|start| start[index].clone())));
    let [angles, strength] = &parameters;
    let mut optimizer =
        BankAdamW::new(&[angles, strength], &[Group::Angles, Group::Strength], &trials, Device::Cpu);
    let finite = Tensor::from_slice(&[true, true, true]);
    for step in 0..STEPS {
        let all: Vec<[Vec<f32>; 2]> = (0..trials.len()).map(|trial| gradients(trial, step)).collect();
        let gradients = [0, 1].map(|index| stacked(all.iter().map(|own| own[index].clone())));
        optimizer.step(step, &[angles, strength], &gradients, &finite);
    }
    for (trial, config) in trials.iter().enumerate() {
        for (index, expected) in reference(trial, config, &starts[trial]).iter().enumerate() {
            let own = Vec::<f32>::try_from(parameters[index].get(trial as i64)).unwrap();
            let gap = own.iter().zip(expected).map(|(own, expected)| (f64::from(*own) - expected).abs());
            let gap = gap.fold(0.0, f64::max);
            // 300 steps of f32 rounding; values are of size 1 and have moved by about as much.
            assert!(gap < 2e-5, "trial {trial}, tensor {index}: {gap}");
            let moved = own.iter().zip(&starts[trial][index]).any(|(own, start)| (own - start).abs() > 0.05);
            assert_eq!(moved, config.learning_rate[&[Group::Angles, Group::Strength][index]] > 0.0);
        }
    }
}

#[test]
fn a_trial_with_a_gradient_that_is_not_finite_stops_there_and_then() {
    let trials = trials();
    let parameters = stacked((0..3).map(|trial| gradients(trial, 9)[0].clone()));
    let start = parameters.copy();
    let mut optimizer = BankAdamW::new(&[&parameters], &[Group::Angles], &trials, Device::Cpu);
    let finite = Tensor::from_slice(&[true, true, true]);
    for step in 30..33 {
        let mut rows: Vec<Vec<f32>> = (0..3).map(|trial| gradients(trial, step)[0].clone()).collect();
        rows[1][2] = if step == 30 { f32::NAN } else { 1.0 };
        rows[2][0] = if step == 32 { f32::INFINITY } else { 1.0 };
        optimizer.step(step, &[&parameters], &[stacked(rows.into_iter())], &finite);
    }
    let steps = Vec::<i64>::try_from(optimizer.diverged_at()).unwrap();
    assert_eq!(steps, [-1, 30, 32]);
    assert!(bool::try_from(parameters.isfinite().all()).unwrap());
    assert_eq!(parameters.get(1), start.get(1));
    assert_ne!(parameters.get(0), start.get(0));
    assert_ne!(parameters.get(2), start.get(2));
}
