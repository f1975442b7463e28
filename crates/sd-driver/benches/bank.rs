//! What the trial axis buys: a bank of 8, and a sweep of 32, against the same trials one after another, at batch 1.
//!
//! `just bench`: rounds of both in turn on the mini model, medians and the ratio. Times depend on the machine and on
//! what else it does; the ratio is taken within one run. tools/bench/peft_sweep.py takes the same steps with PEFT and
//! diffusers, in a loop over the trials.

mod training;

use std::path::Path;

use delora_core::{Bank, Site, TrialConfig};
use finetune::testing::median;
use models::diffusion::StableDiffusion;
use tch::Kind;
use training::{seconds, trial};

const TRIALS: usize = 8;
/// The methods of the sweep, each at `TRIALS` learning rates.
const SWEPT: [&str; 4] = ["lora", "dora", "delora", "ether_plus_one_sided"];
const STEPS: usize = 10;
const ROUNDS: usize = 7;

/// Seconds of `STEPS` training steps of one bank, at one picture per trial.
fn train(diffusion: &StableDiffusion, sites: &[Site], trials: &[TrialConfig]) -> f64 {
    let mut bank = Bank::new(sites, trials, diffusion.device).expect("the trials are well formed");
    seconds(diffusion, &mut bank, Kind::Float, STEPS)
}

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/sd");
    let diffusion = StableDiffusion::load(&folder, device::here()).expect("assets/mini is complete");
    let sites = finetune::sites(&diffusion.unet);
    println!("{STEPS} steps at batch 1 over the attention layers of the mini model, {:?}", diffusion.device);
    let pairs = SWEPT.map(|method| [method; 2]).concat();
    let banks = [("LoRA", vec!["lora"; TRIALS]), ("DeLoRA", vec!["delora"; TRIALS]), ("mixed", pairs)];
    for (title, methods) in banks {
        let trials: Vec<TrialConfig> =
            methods.iter().zip(0..).map(|(method, seed)| trial(method, seed)).collect();
        compare(title, &diffusion, &sites, &trials, ROUNDS);
    }
    let rates = |method: &'static str| {
        (0..TRIALS as i32).map(move |power| {
            let mut trial = trial(method, 0);
            trial.learning_rate.values_mut().for_each(|rate| *rate *= 0.25 * 2f64.powi(power));
            trial
        })
    };
    let sweep: Vec<TrialConfig> = SWEPT.into_iter().flat_map(rates).collect();
    compare("sweep", &diffusion, &sites, &sweep, ROUNDS / 2);
}

/// One bank of `trials` against banks of one.
fn compare(title: &str, diffusion: &StableDiffusion, sites: &[Site], trials: &[TrialConfig], rounds: usize) {
    let (mut together, mut in_turn) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        together.push(train(diffusion, sites, trials));
        in_turn.push(trials.chunks(1).map(|one| train(diffusion, sites, one)).sum::<f64>());
    }
    let ratio = median(together.iter().zip(&in_turn).map(|(bank, single)| single / bank).collect());
    let each = |seconds| median(seconds) * 1e3 / (trials.len() * STEPS) as f64;
    println!(
        "{title:7} {:2} trials: bank {:.1} ms per trial and step, one after another {:.1} ms, ratio {ratio:.2}",
        trials.len(),
        each(together),
        each(in_turn),
    );
}
