//! Trials and training steps that the benches share.

use std::collections::BTreeMap;
use std::time::Instant;

use delora_core::{Bank, Group, MethodConfig, Role, TrialConfig};
use finetune::BankHook;
use models::diffusion::StableDiffusion;
use serde_json::json;
use tch::{Kind, Tensor};

pub fn trial(method: &str, seed: u64) -> TrialConfig {
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
        targets: Some(delora_core::Target::roles(&[Role::Query, Role::Key, Role::Value, Role::Output])),
        seed,
    }
}

/// Seconds of `steps` training steps of a bank at one picture per trial, the network computing in `kind`.
pub fn seconds(diffusion: &StableDiffusion, bank: &mut Bank, kind: Kind, steps: usize) -> f64 {
    let rows = bank.num_trials();
    let [channels, height, width] = diffusion.latent_shape();
    let options = (Kind::Float, diffusion.device);
    let latents = Tensor::randn([rows as i64, channels, height, width], options);
    let timesteps = Tensor::randint(1000, [rows as i64], (Kind::Int64, diffusion.device));
    let context = diffusion.captions.encode(&vec!["a photo of qwe cat"; rows], kind);
    let mut step = || {
        let noise = latents.randn_like();
        let noisy = diffusion.schedule.add_noise(&latents, &noise, &timesteps).to_kind(kind);
        let hook = BankHook::new(bank);
        let predicted = diffusion.unet.network.forward(&noisy, &timesteps, &context, &hook);
        let error = (predicted.to_kind(Kind::Float) - noise).square();
        bank.step(&error.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float));
    };
    step(); // caches and kernels
    let started = Instant::now();
    (0..steps).for_each(|_| step());
    let _ = bank.health(); // waits for the device
    started.elapsed().as_secs_f64()
}
