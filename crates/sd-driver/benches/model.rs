//! What finetuning and drawing cost on any checkpoint and device: `just bench-sd FOLDER`.
//!
//! For banks of 1, 4, 8 and 16 trials at batch 1: seconds of a training step, pictures per second, and the most memory until
//! then. bf16 on a GPU, f32 on a CPU. tools/bench/peft_sd.py does the same with PEFT and diffusers, one trial at a time.

mod training;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use delora_core::{Bank, Site};
use finetune::BankHook;
use finetune::testing::median;
use models::diffusion::{Conditions, SamplerName, Sampling, StableDiffusion};
use tch::{Device, Kind, Tensor};
use training::{seconds, trial};

const BANKS: [u64; 4] = [1, 4, 8, 16];
const STEPS: usize = 5;
const ROUNDS: usize = 3;
const LAYOUT_TRIALS: u64 = 8;
/// Of each trial.
const PICTURES: usize = 4;
const SAMPLING: Sampling = Sampling { steps: 25, guidance_scale: 7.5, sampler: SamplerName::DpmSolver };

struct Bench {
    diffusion: StableDiffusion,
    sites: Vec<Site>,
    kind: Kind,
}

impl Bench {
    /// Pictures per second, `PICTURES` of each trial at once.
    fn pictures(&self, bank: &Bank) -> f64 {
        let Bench { diffusion, kind, .. } = self;
        let rows = bank.num_trials() * PICTURES;
        let [channels, height, width] = diffusion.latent_shape();
        let context = diffusion.captions.encode(&vec!["a photo of qwe cat"; rows], *kind);
        let unconditional = diffusion.captions.encode(&[""], *kind);
        let conditions = Conditions { context: &context, unconditional: &unconditional, control: None };
        let started = Instant::now();
        let noise = Tensor::randn([rows as i64, channels, height, width], (Kind::Float, diffusion.device));
        let latents = diffusion.sample(&noise, conditions, SAMPLING, &BankHook::new(bank));
        let _ = f64::try_from(diffusion.decode(&latents.to_kind(*kind)).sum(Kind::Float)); // waits for the device
        rows as f64 / started.elapsed().as_secs_f64()
    }

    /// Steps with the channels last beside steps as they are, in turn.
    fn compare_layouts(&self, folder: &Path) {
        let device = self.diffusion.device;
        let other = StableDiffusion::load(folder, device).expect("it was loaded before");
        other.unet.put_channels_last();
        let trials: Vec<_> = (0..LAYOUT_TRIALS).map(|seed| trial("lora", seed)).collect();
        let step = |diffusion: &StableDiffusion| {
            let mut bank = Bank::new(&self.sites, &trials, device).expect("the trials are well formed");
            seconds(diffusion, &mut bank, self.kind, STEPS) / STEPS as f64
        };
        let ratios = (0..2 * ROUNDS).map(|_| step(&other) / step(&self.diffusion)).collect();
        println!(
            "lora    {LAYOUT_TRIALS} trials: a step with channels last takes {:.2} of one without",
            median(ratios)
        );
    }

    /// Seconds of a step of the whole bank, and pictures per second.
    fn measure(&self, method: &str, size: u64) -> (f64, f64) {
        let trials: Vec<_> = (0..size).map(|seed| trial(method, seed)).collect();
        let mut bank =
            Bank::new(&self.sites, &trials, self.diffusion.device).expect("the trials are well formed");
        let step = || seconds(&self.diffusion, &mut bank, self.kind, STEPS) / STEPS as f64;
        let step = median(std::iter::repeat_with(step).take(ROUNDS).collect());
        (step, self.pictures(&bank))
    }
}

/// GB that were in use at most: of the GPU, whose allocator gives nothing back, or of this process.
fn most_memory(device: Device) -> Option<f64> {
    if let Device::Cuda(index) = device {
        let query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", &index.to_string()];
        let output = Command::new("nvidia-smi").args(query).output().ok()?;
        let mebibytes: f64 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
        return Some(mebibytes * 1.048_576e-3);
    }
    finetune::peak_resident_bytes().map(|bytes| bytes as f64 * 1e-9)
}

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let folder = folder.map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/sd"),
        PathBuf::from,
    );
    let device = device::here();
    let diffusion = match StableDiffusion::load(&folder, device) {
        Ok(diffusion) => diffusion,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(1);
        }
    };
    let kind = if device.is_cuda() { Kind::BFloat16 } else { Kind::Float };
    println!("{}, {device:?}, {kind:?}; batch 1, rank 16", folder.display());
    let bench = Bench { sites: finetune::sites(&diffusion.unet), diffusion, kind };
    bench.compare_layouts(&folder);
    for method in ["lora", "delora"] {
        for size in BANKS {
            let measured = catch_unwind(AssertUnwindSafe(|| bench.measure(method, size)));
            let Ok((step, pictures)) = measured else {
                println!("{method:6} {size:2} trials: stopped, as said above");
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
