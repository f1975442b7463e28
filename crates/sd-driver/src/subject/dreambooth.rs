//! DreamBooth's steps: one UNet pass per step for all trials.

use std::rc::Rc;

use delora_core::{Bank, stream};
use models::diffusion::StableDiffusion;
use rand::RngExt;
use tch::{Kind, Tensor};

use crate::moments::Moments;
use crate::pass::{Draws, Objective};
use crate::subject::settings::Settings;

/// What one trial learns from.
pub struct Examples<'a> {
    pub settings: &'a Settings,
    pub subject: &'a Moments,
    /// Context `[1, S, D]` of the instance prompt.
    pub subject_context: Tensor,
    /// Pictures of the class, and the context of its prompt, with prior preservation.
    pub class: Option<(Rc<Moments>, Tensor)>,
}

/// Contexts `[N, S, D]` of a step's rows: per trial those of the instance pictures, then those of the class pictures.
pub fn step_contexts(examples: &[Examples]) -> Tensor {
    let rows: Vec<Tensor> = examples
        .iter()
        .flat_map(|own| {
            let batch = own.settings.common.batch;
            let class = own.class.iter().flat_map(move |(_, context)| std::iter::repeat_n(context, batch));
            std::iter::repeat_n(&own.subject_context, batch).chain(class)
        })
        .map(Tensor::shallow_clone)
        .collect();
    Tensor::cat(&rows, 0)
}

/// A DreamBooth step of all trials; `contexts` are those of [`step_contexts`], on the device. Gives the losses `[trials]`:
/// the error on the instance pictures, plus the prior's weight times that on the class pictures.
///
/// Each trial draws from its own stream of this step, whoever its neighbours are.
pub fn dreambooth_step(
    diffusion: &StableDiffusion,
    examples: &[Examples],
    contexts: &Tensor,
    bank: &mut Bank,
    step: u64,
) -> Tensor {
    let mut draws = Draws::default();
    for own in examples {
        let mut stream = stream(own.settings.common.seed, &format!("training step {step}"));
        let sets = [Some(own.subject), own.class.as_ref().map(|(moments, _)| &**moments)];
        for moments in sets.into_iter().flatten() {
            for _ in 0..own.settings.common.batch {
                let picture = stream.random_range(0..moments.count);
                draws.add(diffusion, moments, picture, &mut stream);
            }
        }
    }
    let settings = examples[0].settings;
    let losses = |errors: Tensor| {
        let sets = errors.view([examples.len() as i64, -1, settings.common.batch as i64]);
        let error = sets.mean_dim([2i64].as_slice(), false, Kind::Float); // [trials, 1 or 2]
        match settings.prior_preservation {
            Some(prior) => error.select(1, 0) + error.select(1, 1) * prior.weight,
            None => error.select(1, 0),
        }
    };
    let objective = Objective { control: &|_| None, losses: &losses, recompute: settings.checkpointing };
    let pass = draws.pass(diffusion, contexts, settings.common.precision.kind());
    let losses = pass.accumulate(bank, diffusion, &objective);
    bank.finish_step();
    losses
}
