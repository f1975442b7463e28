//! What is measured: a training step of a bank over one of the small networks of `assets/mini`.

use std::path::Path;

use anyhow::Result;
use delora_core::{Bank, Role, Site};
use finetune::BankHook;
use llama_it::Example;
use llama_it::training::{Batch, losses};
use models::decoder::{Decoder, load_decoder};
use models::diffusion::load_unet;
use models::roberta::{Encoder, Tokens, load_encoder};
use models::unet::UNet2DCondition;
use models::{Conv2d, Frozen, Hook, Linear, Loaded};
use tch::{Device, Kind, Tensor};

/// A frozen network with inputs of its own making, the same for each row.
pub trait Network {
    fn sites(&self) -> &[Site];

    /// The losses `[trials]` of a bank at `batch` rows per trial.
    fn losses(&self, hook: &dyn Hook, trials: i64, batch: i64) -> Tensor;
}

/// A network by name.
pub struct Known {
    pub name: &'static str,
    /// Below the folder of assets.
    pub folder: &'static str,
    pub rank: i64,
    /// What low-rank methods adapt.
    pub targets: &'static [Role],
    load: fn(&Path, Device) -> Result<Box<dyn Network>>,
}

/// All networks; a peer's are in tools/bench/peer.py, by the same names.
pub const NETWORKS: [Known; 3] = [
    Known {
        name: "unet",
        folder: "sd",
        rank: 16,
        targets: &[Role::Query, Role::Key, Role::Value, Role::Output],
        load: |folder, device| Ok(Box::new(Denoiser::load(folder, device)?)),
    },
    Known {
        name: "encoder",
        folder: "encoder",
        rank: 8,
        targets: &[Role::Query, Role::Value],
        load: |folder, device| Ok(Box::new(Words::load(folder, device)?)),
    },
    Known {
        name: "decoder",
        folder: "decoder",
        rank: 8,
        targets: &[Role::Query, Role::Value],
        load: |folder, device| Ok(Box::new(Writer::load(folder, device)?)),
    },
];

impl Known {
    pub fn load(&self, assets: &Path, device: Device) -> Result<Box<dyn Network>> {
        (self.load)(&assets.join(self.folder), device)
    }
}

/// Seconds of `steps` updates of a bank.
pub fn seconds(network: &dyn Network, bank: &mut Bank, batch: i64, steps: usize) -> f64 {
    finetune::seconds_of(|| {
        for _ in 0..steps {
            let trials = bank.num_trials() as i64;
            let losses = network.losses(&BankHook::new(bank), trials, batch);
            bank.step(&losses);
        }
        let _ = bank.health(); // waits for the device
    })
}

/// Operations of a training step of one row: those of linear layers and convolutions, forward and for the gradient of
/// their inputs.
pub fn operations(network: &dyn Network) -> f64 {
    let counted = Counted::default();
    gradient_mode::off(|| drop(network.losses(&counted, 1, 1)));
    2.0 * counted.0.get()
}

/// Counts the operations of a forward pass.
#[derive(Default)]
struct Counted(std::cell::Cell<f64>);

impl Counted {
    /// `output` holds sums of `terms` products.
    fn add(&self, output: Tensor, terms: i64) -> Tensor {
        self.0.set(self.0.get() + 2.0 * output.numel() as f64 * terms as f64);
        output
    }
}

impl Hook for Counted {
    fn linear(&self, layer: &Linear, input: &Tensor) -> Tensor {
        self.add(Frozen.linear(layer, input), layer.weight.size()[1])
    }

    fn conv2d(&self, layer: &Conv2d, input: &Tensor) -> Tensor {
        self.add(Frozen.conv2d(layer, input), layer.weight.size()[1..].iter().product())
    }
}

/// A denoiser, on noise.
struct Denoiser {
    unet: Loaded<UNet2DCondition>,
    sites: Vec<Site>,
    device: Device,
}

/// Tokens of a caption, as of the mini model's text encoder.
const CAPTION: i64 = 32;

impl Denoiser {
    fn load(folder: &Path, device: Device) -> Result<Denoiser> {
        let unet = load_unet(folder, device)?;
        Ok(Denoiser { sites: finetune::sites(&unet), unet, device })
    }
}

impl Network for Denoiser {
    fn sites(&self) -> &[Site] {
        &self.sites
    }

    fn losses(&self, hook: &dyn Hook, trials: i64, batch: i64) -> Tensor {
        let config = self.unet.network.config();
        let rows = trials * batch;
        let options = (Kind::Float, self.device);
        let drawn = |shape: &[i64]| Tensor::randn(shape, options);
        let noisy = drawn(&[rows, config.in_channels, config.sample_size, config.sample_size]);
        let context = drawn(&[rows, CAPTION, config.cross_attention_dim]);
        let timesteps = Tensor::randint(1000, [rows], (Kind::Int64, self.device));
        let predicted = self.unet.network.forward(&noisy, &timesteps, &context, hook);
        (predicted - noisy).square().view([trials, -1]).mean_dim([1i64].as_slice(), false, Kind::Float)
    }
}

/// An encoder, on random words.
struct Words {
    encoder: Loaded<Encoder>,
    sites: Vec<Site>,
    device: Device,
}

/// Tokens of a row.
const TOKENS: i64 = 64;

impl Words {
    fn load(folder: &Path, device: Device) -> Result<Words> {
        let encoder = load_encoder(folder, device)?;
        Ok(Words { sites: finetune::sites(&encoder), encoder, device })
    }
}

impl Network for Words {
    fn sites(&self) -> &[Site] {
        &self.sites
    }

    fn losses(&self, hook: &dyn Hook, trials: i64, batch: i64) -> Tensor {
        let options = (Kind::Int64, self.device);
        let shape = [trials * batch, TOKENS];
        let ids = Tensor::randint_low(5, self.encoder.network.config().vocab_size, shape, options);
        let tokens = Tokens { ids: &ids, mask: &Tensor::ones(shape, options), types: None };
        let hidden = self.encoder.network.forward(&tokens, Kind::Float, hook);
        hidden.square().view([trials, -1]).mean_dim([1i64].as_slice(), false, Kind::Float)
    }
}

/// A decoder, on random words.
struct Writer {
    llama: Loaded<Decoder>,
    sites: Vec<Site>,
    device: Device,
}

impl Writer {
    fn load(folder: &Path, device: Device) -> Result<Writer> {
        let llama = load_decoder(folder, Kind::Float, device)?;
        Ok(Writer { sites: finetune::sites(&llama), llama, device })
    }
}

impl Network for Writer {
    fn sites(&self) -> &[Site] {
        &self.sites
    }

    fn losses(&self, hook: &dyn Hook, trials: i64, batch: i64) -> Tensor {
        let word = |row: i64, place: i64| (row * 131 + place * 7919) % 1000 + 5;
        let example = |row: i64| Example::of_all((0..=TOKENS).map(|place| word(row, place)).collect());
        let examples: Vec<Example> = (0..trials * batch).map(example).collect();
        let weight = 1.0 / (batch * TOKENS) as f32;
        let rows: Vec<(&Example, f32)> = examples.iter().map(|example| (example, weight)).collect();
        losses(&self.llama.network, &Batch::new(&rows, self.device), trials, Kind::Float, hook)
    }
}
