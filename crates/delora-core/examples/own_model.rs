//! Four trials of two methods on a small network of one's own: trained side by side, saved, and merged into its weights.

use std::error::Error;

use delora_core::settings::{Delora, Lora};
use delora_core::{AdapterFile, Bank, Role, Site, TrialConfig};
use tch::{Device, Kind, Tensor, nn};

struct Network {
    first: nn::Linear,
    second: nn::Linear,
}

impl Network {
    /// `input` [trials, rows, 8] gives [trials, rows, 2].
    fn forward(&self, bank: &Bank, input: &Tensor) -> Tensor {
        bank.linear(&self.second, &bank.linear(&self.first, input).tanh())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    tch::manual_seed(1);
    let mut store = nn::VarStore::new(Device::Cpu);
    let path = store.root();
    let layer = |name, inputs, outputs| nn::linear(&path / name, inputs, outputs, Default::default());
    let network = Network { first: layer("first", 8, 16), second: layer("second", 16, 2) };
    store.freeze();
    let sites = [("first", &network.first), ("second", &network.second)]
        .map(|(name, layer)| Site::linear(name, Role::Other, &layer.ws, layer.bs.as_ref()));

    let lora = |alpha| Lora { rank: 2, alpha: Some(alpha) };
    let delora = |lambda| Delora { rank: 2, lambda, ..Default::default() };
    let trials = [
        TrialConfig::new(lora(4.0), 1e-2, 1),
        TrialConfig::new(lora(8.0), 1e-3, 2),
        TrialConfig::new(delora(0.5), 1e-2, 1),
        TrialConfig::new(delora(1.0), 1e-2, 2),
    ];
    let mut bank = Bank::new(&sites, &trials, Device::Cpu)?;
    let input = Tensor::randn([64, 8], (Kind::Float, Device::Cpu)).expand([4, 64, 8], false);
    let target = input.narrow(2, 0, 2).sin();
    let losses = |bank: &Bank| {
        let error = network.forward(bank, &input) - &target;
        error.square().mean_dim([1, 2].as_slice(), false, Kind::Float) // [trials]
    };
    let before = Vec::<f64>::try_from(losses(&bank))?;
    for _ in 0..200 {
        let losses = losses(&bank);
        bank.step(&losses);
    }
    let after = Vec::<f64>::try_from(losses(&bank))?;
    for slot in 0..bank.num_trials() {
        println!("{}: loss {:.4} to {:.4}", bank.method(slot).name(), before[slot], after[slot]);
    }
    let file = std::env::temp_dir().join(format!("own_model_{}.safetensors", std::process::id()));
    bank.adapter(2)?.save(&file)?;
    let merged = AdapterFile::load(&file)?.bank(&sites)?.merged("first", 0)?; // [16, 8]
    println!("the merged weight moved by {:.4}", f64::try_from((merged - &network.first.ws).norm())?);
    Ok(std::fs::remove_file(&file)?)
}
