//! What finetuning and drawing cost on any checkpoint and device: `just bench-sd FOLDER`.
//!
//! For banks of 1, 4, 8 and 16 trials at batch 1: seconds of a training step, pictures per second, and the most memory until
//! then. bf16 on a GPU, f32 on a CPU. tools/bench/peft_sd.py does the same with PEFT and diffusers, one trial at a time.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use delora_core::{Bank, Group, MethodConfig, Role, Site, TrialConfig};
use harness::BankHook;
use models::diffusion::{Conditions, SamplerName, Sampling, StableDiffusion};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const BANKS: [usize; 4] = [1, 4, 8, 16];
const STEPS: usize = 5;
const ROUNDS: usize = 3;
/// Of each trial.
const PICTURES: i64 = 4;
const SAMPLING: Sampling = Sampling { steps: 25, guidance_scale: 7.5, sampler: SamplerName::DpmSolver };

fn trial(method: &str, settings: &Value, seed: u64) -> TrialConfig {
    let settings = settings.as_object().expect("a table").clone();
    let groups = [(Group::Angles, 1e-4), (Group::Strength, 1e-4)];
    let groups = &groups[..if method == "delora" { 2 } else { 1 }];
    TrialConfig {
        method: MethodConfig { name: method.to_owned(), settings },
        learning_rate: BTreeMap::from_iter(groups.iter().copied()),
        optimizer: Default::default(),
        schedule: Default::default(),
        targets: Some(vec![Role::Query, Role::Key, Role::Value, Role::Output]),
        seed,
    }
}

struct Bench {
    diffusion: StableDiffusion,
    sites: Vec<Site>,
    kind: Kind,
}

impl Bench {
    fn context(&self, rows: usize) -> Tensor {
        self.diffusion.captions.encode(&vec!["a photo of qwe cat"; rows], self.kind)
    }

    fn noise(&self, rows: usize) -> Tensor {
        let [channels, height, width] = self.diffusion.latent_shape();
        Tensor::randn([rows as i64, channels, height, width], (Kind::Float, self.diffusion.device))
    }

    /// Seconds of a training step of the whole bank.
    fn step(&self, bank: &mut Bank) -> f64 {
        let diffusion = &self.diffusion;
        let latents = self.noise(bank.num_trials());
        let timesteps = Tensor::randint(1000, [bank.num_trials() as i64], (Kind::Int64, diffusion.device));
        let context = self.context(bank.num_trials());
        let mut step = || {
            let noise = latents.randn_like();
            let noisy = diffusion.schedule.add_noise(&latents, &noise, &timesteps).to_kind(self.kind);
            let hook = BankHook::new(bank);
            let predicted = diffusion.unet.network.forward(&noisy, &timesteps, &context, &hook);
            let error = (predicted.to_kind(Kind::Float) - noise).square();
            bank.step(&error.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float));
        };
        step(); // caches and kernels
        let started = Instant::now();
        (0..STEPS).for_each(|_| step());
        let _ = bank.health(); // waits for the device
        started.elapsed().as_secs_f64() / STEPS as f64
    }

    /// Pictures per second, `PICTURES` of each trial at once.
    fn pictures(&self, bank: &Bank) -> f64 {
        let rows = bank.num_trials() * PICTURES as usize;
        let (context, unconditional) = (self.context(rows), self.diffusion.captions.encode(&[""], self.kind));
        let conditions = Conditions { context: &context, unconditional: &unconditional, control: None };
        let started = Instant::now();
        let noise = self.noise(rows).to_kind(self.kind);
        let latents = self.diffusion.sample(&noise, conditions, SAMPLING, &BankHook::new(bank));
        let _ = f64::try_from(self.diffusion.decode(&latents).sum(Kind::Float)); // waits for the device
        rows as f64 / started.elapsed().as_secs_f64()
    }

    fn measure(&self, method: &str, settings: &Value, size: usize) -> (f64, f64) {
        let trials: Vec<_> = (0..size).map(|seed| trial(method, settings, seed as u64)).collect();
        let mut bank = Bank::new(&self.sites, &trials, self.diffusion.device).expect("well formed trials");
        let step = median((0..ROUNDS).map(|_| self.step(&mut bank)).collect());
        (step, self.pictures(&bank))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// GB that were in use at most: of the GPU, whose allocator gives nothing back, or of this process.
fn most_memory(device: Device) -> Option<f64> {
    if let Device::Cuda(index) = device {
        let query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", &index.to_string()];
        let output = Command::new("nvidia-smi").args(query).output().ok()?;
        let mebibytes: f64 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
        return Some(mebibytes * 1.048_576e-3);
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes * 1.024e-6)
}

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let folder = folder.map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/sd"),
        PathBuf::from,
    );
    let device = Device::cuda_if_available();
    let diffusion = match StableDiffusion::load(&folder, device) {
        Ok(diffusion) => diffusion,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(1);
        }
    };
    let kind = if device.is_cuda() { Kind::BFloat16 } else { Kind::Float };
    println!("{}, {device:?}, {kind:?}; batch 1, rank 16", folder.display());
    let bench = Bench { sites: harness::sites(&diffusion.unet), diffusion, kind };
    for (method, settings) in
        [("lora", json!({"rank": 16, "alpha": 32.0})), ("delora", json!({"rank": 16, "lambda": 4.0}))]
    {
        for size in BANKS {
            let measured = catch_unwind(AssertUnwindSafe(|| bench.measure(method, &settings, size)));
            let Ok((step, pictures)) = measured else {
                println!("{method:6} {size:2} trials: do not fit"); // libtorch has said why
                break;
            };
            let memory = most_memory(device).map_or("unknown".to_owned(), |memory| format!("{memory:.1} GB"));
            println!(
                "{method:6} {size:2} trials: step {:.1} ms, {:.1} ms per trial, {pictures:.2} pictures/s, at most {memory} so far",
                1e3 * step,
                1e3 * step / size as f64,
            );
        }
    }
}
