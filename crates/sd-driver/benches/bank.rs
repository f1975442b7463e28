//! What the trial axis buys: a bank of 8, and a sweep of 32, against the same trials one after another, at batch 1.
//!
//! `just bench`: rounds of both in turn on the mini model, medians and the ratio. Times depend on the machine and on
//! what else it does; the ratio is taken within one run. tools/bench/peft_sweep.py takes the same steps with PEFT and
//! diffusers, in a loop over the trials.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use delora_core::{Bank, Group, MethodConfig, Role, Site, TrialConfig};
use harness::BankHook;
use models::diffusion::StableDiffusion;
use serde_json::json;
use tch::{Device, Kind, Tensor};

const TRIALS: usize = 8;
/// The methods of the sweep, each at `TRIALS` learning rates.
const SWEPT: [&str; 4] = ["lora", "dora", "delora", "ether_plus_one_sided"];
const STEPS: usize = 10;
const ROUNDS: usize = 7;

fn trial(method: &str, seed: u64) -> TrialConfig {
    let (settings, groups): (_, &[(Group, f64)]) = match method {
        "lora" => (json!({"rank": 16, "alpha": 32.0}), &[(Group::Angles, 1e-3)]),
        "delora" => (json!({"rank": 16, "lambda": 4.0}), &[(Group::Angles, 1e-2), (Group::Strength, 1e-2)]),
        "dora" => (json!({"rank": 16, "alpha": 32.0}), &[(Group::Angles, 1e-3), (Group::Magnitude, 1e-3)]),
        _ => (json!({}), &[(Group::Angles, 1e-2)]),
    };
    let settings = settings.as_object().expect("a table").clone();
    TrialConfig {
        method: MethodConfig { name: method.to_owned(), settings },
        learning_rate: BTreeMap::from_iter(groups.iter().copied()),
        optimizer: Default::default(),
        schedule: Default::default(),
        targets: Some(vec![Role::Query, Role::Key, Role::Value, Role::Output]),
        seed,
    }
}

/// Seconds of `STEPS` training steps of one bank, at one picture per trial.
fn train(diffusion: &StableDiffusion, sites: &[Site], trials: &[TrialConfig]) -> f64 {
    let mut bank = Bank::new(sites, trials, diffusion.device).expect("the trials are well formed");
    let rows = trials.len() as i64;
    let [channels, height, width] = diffusion.latent_shape();
    let options = (Kind::Float, diffusion.device);
    let latents = Tensor::randn([rows, channels, height, width], options);
    let timesteps = Tensor::randint(1000, [rows], (Kind::Int64, diffusion.device));
    let context = diffusion.captions.encode(&vec!["a photo of qwe cat"; trials.len()], Kind::Float);
    let mut step = || {
        let noise = latents.randn_like();
        let noisy = diffusion.schedule.add_noise(&latents, &noise, &timesteps);
        let hook = BankHook::new(&bank);
        let predicted = diffusion.unet.network.forward(&noisy, &timesteps, &context, &hook);
        let error = (predicted - noise).square().mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
        bank.step(&error);
    };
    step(); // caches and kernels
    let started = Instant::now();
    (0..STEPS).for_each(|_| step());
    let _ = bank.health(); // waits for the device
    started.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/sd");
    let diffusion =
        StableDiffusion::load(&folder, Device::cuda_if_available()).expect("assets/mini is complete");
    let sites = harness::sites(&diffusion.unet);
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
