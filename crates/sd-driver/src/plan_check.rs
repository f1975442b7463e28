//! What a plan refuses before anything is drawn: a model whose parts do not go together, and sampling that its schedule cannot
//! do.

use std::path::Path;

use anyhow::Result;
use models::checkpoint::CheckpointConfigs;
use models::diffusion::Sampling;
use models::scheduler::NoiseSchedule;
use runner::SettingError;

/// Refuses `sampling`, the value of the setting `key`, where the schedule of the checkpoint in `model` does not allow it. Errors
/// name the setting or the file.
pub fn check_drawing(model: &Path, key: &str, sampling: Sampling) -> Result<()> {
    let configs = CheckpointConfigs::read(model)?;
    sampling
        .check(&NoiseSchedule::new(&configs.schedule))
        .map_err(|(setting, message)| SettingError::new(format!("{key}.{setting}"), message).into())
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
        check_drawing(&mini(), "sampling", sampling).err().map(|error| format!("{error:#}"))
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
}
