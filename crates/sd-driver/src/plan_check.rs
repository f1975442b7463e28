//! What a plan refuses before anything is drawn: a model whose parts do not go together, and sampling that its schedule cannot
//! do.

use std::path::Path;

use anyhow::Result;
use models::checkpoint::CheckpointConfigs;
use models::diffusion::Sampling;
use runner::SettingError;

use crate::settings::PriorPreservation;

/// Refuses `sampling`, which draws trials' pictures and those of the class, where the schedule of the checkpoint in `model`
/// does not allow it, and a `prior` whose weight is no number from 0 up. Errors name the setting or the file.
pub fn check_drawing(model: &Path, sampling: Sampling, prior: Option<PriorPreservation>) -> Result<()> {
    let configs = CheckpointConfigs::read(model)?;
    if let Err((setting, message)) = sampling.check(configs.schedule.num_train_timesteps) {
        return Err(SettingError::new(format!("sampling.{setting}"), message).into());
    }
    match prior.map(|prior| prior.weight).filter(|weight| !weight.is_finite() || *weight < 0.0) {
        Some(weight) => {
            let message = format!("found {weight}; it has to be a finite number from 0 up");
            Err(SettingError::new("prior_preservation.weight", message).into())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use models::diffusion::SamplerName;

    use super::*;

    fn mini() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/sd")
    }

    fn problem(steps: usize, guidance_scale: f64, sampler: SamplerName) -> Option<String> {
        let sampling = Sampling { steps, guidance_scale, sampler };
        check_drawing(&mini(), sampling, None).err().map(|error| format!("{error:#}"))
    }

    #[test]
    fn steps_and_guidance_that_the_schedule_does_not_allow_are_refused_in_the_plan() {
        for sampler in [SamplerName::Ddim, SamplerName::DpmSolver] {
            for steps in [1, 2, 50, 333, 500, 999] {
                assert_eq!(problem(steps, 7.5, sampler), None, "{sampler:?} at {steps}");
            }
            let beyond = problem(1001, 7.5, sampler).unwrap();
            assert!(beyond.contains("sampling.steps: found 1001"), "{beyond}");
            assert!(beyond.contains("1000 timesteps, which is the most"), "{beyond}");
            assert!(problem(0, 7.5, sampler).unwrap().contains("found 0"));
            for scale in [f64::NAN, f64::INFINITY, -1.0, 0.5] {
                let message = problem(2, scale, sampler).unwrap();
                assert!(message.contains(&format!("sampling.guidance_scale: found {scale}")), "{message}");
            }
            assert_eq!(problem(2, 1.0, sampler), None);
        }
        // diffusers' DDIM fails at this one too, and its DPM-Solver makes one step less.
        let ddim = problem(1000, 7.5, SamplerName::Ddim).unwrap();
        assert!(ddim.contains("at timestep 1000, and its last is 999: take fewer"), "{ddim}");
        assert_eq!(problem(1000, 7.5, SamplerName::DpmSolver), None);
    }

    #[test]
    fn the_weight_of_prior_preservation_is_a_finite_number_from_0_up() {
        let sampling = Sampling { steps: 2, guidance_scale: 1.0, sampler: SamplerName::Ddim };
        for weight in [-1.0, f64::NAN, f64::INFINITY] {
            let prior = Some(PriorPreservation { weight, class_pictures: 1 });
            let message = check_drawing(&mini(), sampling, prior).unwrap_err().to_string();
            assert!(message.contains("prior_preservation.weight"), "{message}");
        }
        let prior = Some(PriorPreservation { weight: 0.0, class_pictures: 1 });
        check_drawing(&mini(), sampling, prior).unwrap();
    }
}
