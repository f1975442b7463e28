//! A method that is defined outside of `delora-core`, in a bank beside LoRA: W' = diag(1 + s) W.

use std::error::Error;

use delora_core::settings::Lora;
use delora_core::{
    About, Bank, Factors, Group, Init, LinearAdapter, LinearClass, LinearSettings, LinearShape, Method,
    ParameterSpec, Parameters, Role, Site, TrialConfig, add_method,
};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, nn};

pub static ROW_SCALE: Method = Method::linear::<RowScale>(About {
    name: "row_scale",
    title: "Row scales",
    formula: "diag(1 + s) W",
    groups: &[Group::Magnitude],
    bound: "unbounded",
    update_rank: "full",
    starts_at_identity: true,
});

/// It has no settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RowScale {}

struct RowScales(LinearClass);

impl LinearSettings for RowScale {
    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        shape.out_features
    }

    fn build(_: &[RowScale], class: &LinearClass) -> Box<dyn LinearAdapter> {
        Box::new(RowScales(class.shared()))
    }
}

impl LinearAdapter for RowScales {
    fn parameters(&self) -> Vec<ParameterSpec> {
        vec![ParameterSpec::trained("s", Group::Magnitude, &[self.0.out_features], Init::Zero)]
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        Factors { row_scale: Some(&parameters["s"] + 1.0), ..Factors::default() }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        (&parameters["s"] + 1.0).unsqueeze(-1) * self.0.dense()
    }
}

/// A bank of two trials, the other one LoRA's, that has learnt to halve the output of a layer.
pub fn trained(layer: &nn::Linear) -> Result<Bank, Box<dyn Error>> {
    add_method(&ROW_SCALE)?;
    let trials = [
        TrialConfig::new(ROW_SCALE.config(&RowScale {}), 1e-2, 1),
        TrialConfig::new(Lora { rank: 2, alpha: Some(4.0) }, 1e-2, 2),
    ];
    let site = Site::linear("layer", Role::Other, &layer.ws, layer.bs.as_ref());
    let mut bank = Bank::new(&[site], &trials, Device::Cpu)?;
    let input = Tensor::randn([64, 6], (Kind::Float, Device::Cpu));
    let target = input.linear(&layer.ws, layer.bs.as_ref()) * 0.5;
    for _ in 0..200 {
        let error = bank.linear(layer, &input.expand([2, 64, 6], false)) - &target;
        bank.step(&error.square().mean_dim([1, 2].as_slice(), false, Kind::Float));
    }
    Ok(bank)
}

pub fn main() -> Result<(), Box<dyn Error>> {
    let mut store = nn::VarStore::new(Device::Cpu);
    let layer = nn::linear(store.root(), 6, 4, Default::default());
    store.freeze();
    let bank = trained(&layer)?;
    for slot in 0..bank.num_trials() {
        let moved = f64::try_from((bank.merged("layer", slot)? - &layer.ws).norm())?;
        println!("{}: the weight moved by {moved:.4}", bank.method(slot).about.title);
    }
    Ok(())
}
