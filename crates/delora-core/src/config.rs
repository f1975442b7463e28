//! What one trial is: its method with settings, its optimizer, schedule and seed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::parameter_group::Group;
use crate::target::Target;

/// A method by name, and those of its settings that differ from its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodConfig {
    /// As in [`METHODS`](crate::METHODS), or of a method that was [added](crate::add_method).
    pub name: String,
    /// By name; [`settings`](crate::settings) has them as types.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

/// AdamW, with the names and defaults of `torch.optim.AdamW`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Decay of the first and of the second moment, each at least 0 and below 1.
    pub betas: [f64; 2],
    /// What the root of the second moment is increased by, above 0.
    pub eps: f64,
    /// Share of a value that a step takes away, per learning rate.
    pub weight_decay: f64,
    /// Groups that do not decay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undecayed: Vec<Group>,
    /// Largest norm of the trial's whole gradient; absent: gradients are not clipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.01,
            undecayed: Vec::new(),
            clip_norm: None,
        }
    }
}

/// The learning rate's factor over the steps; the formulas of transformers' `get_*_schedule_with_warmup`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// 1 behind the warm-up.
    Constant {
        /// Steps in which the factor rises from 0 to 1.
        #[serde(default)]
        warmup_steps: u64,
    },
    /// A line from 1 down to 0.
    Linear {
        /// Steps in which the factor rises from 0 to 1.
        #[serde(default)]
        warmup_steps: u64,
        /// The step, warm-up included, at which the factor is 0.
        total_steps: u64,
    },
    /// Half a cosine from 1 down to 0.
    Cosine {
        /// Steps in which the factor rises from 0 to 1.
        #[serde(default)]
        warmup_steps: u64,
        /// The step, warm-up included, at which the factor is 0.
        total_steps: u64,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule::Constant { warmup_steps: 0 }
    }
}

impl Schedule {
    /// The factor at `step`, counted from 0; with a warm-up the first factor is 0.
    ///
    /// ```
    /// let schedule = delora_core::Schedule::Linear { warmup_steps: 10, total_steps: 110 };
    /// assert_eq!([0, 5, 10, 60, 110].map(|step| schedule.factor(step)), [0.0, 0.5, 1.0, 0.5, 0.0]);
    /// ```
    pub fn factor(&self, step: u64) -> f64 {
        let (warmup_steps, total_steps) = match *self {
            Schedule::Constant { warmup_steps } => (warmup_steps, u64::MAX),
            Schedule::Linear { warmup_steps, total_steps } => (warmup_steps, total_steps),
            Schedule::Cosine { warmup_steps, total_steps } => (warmup_steps, total_steps),
        };
        if step < warmup_steps {
            return step as f64 / warmup_steps as f64;
        }
        let decay_steps = total_steps.saturating_sub(warmup_steps).max(1) as f64;
        let progress = ((step - warmup_steps) as f64 / decay_steps).min(1.0);
        match self {
            Schedule::Constant { .. } => 1.0,
            Schedule::Linear { .. } => 1.0 - progress,
            Schedule::Cosine { .. } => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        }
    }
}

/// One trial, as far as adaptation goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialConfig {
    /// What is trained.
    pub method: MethodConfig,
    /// A parameter group that is absent stays as it starts.
    pub learning_rate: BTreeMap<Group, f64>,
    /// How it is trained.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// The learning rates' factor over the steps.
    #[serde(default)]
    pub schedule: Schedule,
    /// The linear layers that linear methods adapt; absent: all. Methods that choose their own sites, such
    /// as IA3, take no notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<Target>>,
    /// Decides every draw of the trial.
    pub seed: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schedules_follow_their_formulas() {
        let linear = Schedule::Linear { warmup_steps: 10, total_steps: 110 };
        let cosine = Schedule::Cosine { warmup_steps: 10, total_steps: 110 };
        for (step, on_line, on_cosine) in [
            (0, 0.0, 0.0),
            (5, 0.5, 0.5),
            (10, 1.0, 1.0),
            (35, 0.75, 0.853_553_390_593),
            (110, 0.0, 0.0),
            (500, 0.0, 0.0),
        ] {
            assert!((linear.factor(step) - on_line).abs() < 1e-12);
            assert!((cosine.factor(step) - on_cosine).abs() < 1e-12);
        }
        assert_eq!(Schedule::Constant { warmup_steps: 4 }.factor(1), 0.25);
        assert_eq!(Schedule::default().factor(1_000_000), 1.0);
    }

    #[test]
    fn an_unknown_key_of_a_schedule_or_optimizer_is_an_error() {
        for schedule in [json!({"name": "constant", "warmup": 3}), json!({"name": "linear", "steps": 3})] {
            assert!(serde_json::from_value::<Schedule>(schedule).is_err());
        }
        assert!(serde_json::from_value::<OptimizerConfig>(json!({"decay": 0.1})).is_err());
        let optimizer: OptimizerConfig = serde_json::from_value(json!({"eps": 1e-6})).unwrap();
        assert_eq!(optimizer, OptimizerConfig { eps: 1e-6, ..Default::default() });
    }
}
