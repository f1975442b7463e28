//! Training steps of a bank, and what its trials' condition encoders make of label maps.

use std::cell::RefCell;

use anyhow::Result;
use delora_core::{Bank, Group, Site, Start, TENSOR_VALUE, TensorRun, stream};
use driver::epoch_order;
use models::palette::colored;
use tch::{Kind, Tensor};

use super::corpus::Corpus;
use super::settings::Settings;
use super::world::World;
use crate::pass::{Draws, Objective};

/// In front of a condition encoder's parameters among a bank's sites.
const PREFIX: &str = "condition_encoder.";

/// What can be adapted: the denoiser's layers, and the condition encoder where it is trained.
pub fn sites(world: &World, settings: &Settings) -> Vec<Site> {
    let mut sites = harness::sites(&world.diffusion.unet);
    if settings.condition_encoder.learning_rate.is_some() {
        sites.extend(world.encoder.parameters().into_iter().enumerate().map(|(index, parameter)| {
            let group = if parameter.name.ends_with("bias") { Group::HeadBias } else { Group::Head };
            // Values that are not pretrained come from `place_encoders`.
            let pretrained = world.pretrained.as_ref().map(|values| values[index].shallow_clone());
            let start = pretrained.map_or(Start::Zero, Start::Given);
            Site::task_tensor(&format!("{PREFIX}{}", parameter.name), &parameter.shape, group, start)
        }));
    }
    sites
}

/// Draws every slot's encoder by the trial's seed, where it does not start from a pretrained one.
pub fn place_encoders(bank: &mut Bank, world: &World, settings: &Settings) -> Result<()> {
    if settings.condition_encoder.learning_rate.is_none() || world.pretrained.is_some() {
        return Ok(());
    }
    let names = world.encoder.parameters();
    for slot in 0..bank.num_trials() {
        let seed = bank.trial(slot).seed;
        let values = world.encoder.initial(|name| stream(seed, &format!("{PREFIX}{name}")));
        for (parameter, value) in names.iter().zip(values) {
            bank.set_parameter(&format!("{PREFIX}{}", parameter.name), slot, TENSOR_VALUE, &value)?;
        }
    }
    Ok(())
}

/// What the denoiser gets of label maps `[trials * N, side, side]`, trial by trial: `[trials * N, C, h, w]`.
pub fn control(bank: &Bank, world: &World, labels: &Tensor, kind: Kind) -> Tensor {
    let maps = colored(&labels.to_device(world.device), kind);
    let own = |name: &str| {
        let runs = bank.tensor(&format!("{PREFIX}{name}"), kind)?;
        let values = |run: TensorRun| run.values.expect("each trial has its own encoder");
        Some(Tensor::cat(&runs.into_iter().map(values).collect::<Vec<_>>(), 0))
    };
    let names = world.encoder.parameters();
    match names.iter().map(|parameter| own(&parameter.name)).collect::<Option<Vec<Tensor>>>() {
        Some(stacked) => world.encoder.forward_stacked(&stacked, &maps),
        None => {
            let frozen = world.pretrained.as_ref().expect("an encoder that is not trained is pretrained");
            world.encoder.forward(frozen, &maps)
        }
    }
}

/// What the trials of a bank learn; settings are in slot order and agree in what a bank shares.
pub struct Lesson<'a> {
    pub world: &'a World,
    pub corpus: &'a Corpus,
    pub settings: Vec<&'a Settings>,
    /// The running epoch, and the pairs' order in it for each slot.
    orders: RefCell<(u64, Vec<Vec<usize>>)>,
}

impl<'a> Lesson<'a> {
    pub fn new(world: &'a World, corpus: &'a Corpus, settings: Vec<&'a Settings>) -> Lesson<'a> {
        Lesson { world, corpus, settings, orders: RefCell::new((u64::MAX, Vec::new())) }
    }

    fn steps_per_epoch(&self) -> u64 {
        self.corpus.training.len().div_ceil(self.settings[0].batch) as u64
    }

    pub fn total_steps(&self) -> u64 {
        self.settings[0].epochs * self.steps_per_epoch()
    }

    /// Makes a step and gives its losses `[trials]`. Each trial draws from its own streams, whoever its neighbours are.
    pub fn step(&self, bank: &mut Bank, step: u64) -> Result<Tensor> {
        let World { diffusion, .. } = self.world;
        let shared = self.settings[0];
        let rows = self.rows(step);
        let mut draws = Draws::default();
        for (own, rows) in self.settings.iter().zip(&rows) {
            let mut stream = stream(own.seed, &format!("training step {step}"));
            rows.iter().for_each(|&row| draws.add(diffusion, &self.corpus.moments, row, &mut stream));
        }
        let pairs: Vec<_> = rows.iter().flatten().map(|&row| &self.corpus.training[row]).collect();
        let kind = shared.precision.kind();
        let captions: Vec<&str> = pairs.iter().map(|pair| pair.caption.as_str()).collect();
        let contexts = diffusion.captions.encode(&captions, kind);
        let labels = self.corpus.labels(pairs)?;
        let trials = self.settings.len() as i64;
        let objective = Objective {
            control: &|bank| Some(control(bank, self.world, &labels, kind)),
            losses: &|errors| errors.view([trials, -1]).mean_dim([1i64].as_slice(), false, Kind::Float),
            recompute: shared.checkpointing,
        };
        let losses = draws.pass(diffusion, &contexts, kind).accumulate(bank, diffusion, &objective);
        bank.finish_step();
        Ok(losses)
    }

    /// Training pairs of a step, by slot.
    fn rows(&self, step: u64) -> Vec<Vec<usize>> {
        let (epoch, place) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
        let mut orders = self.orders.borrow_mut();
        if orders.0 != epoch {
            let count = self.corpus.training.len();
            let order = |own: &&Settings| match own.shuffle {
                true => epoch_order(own.seed, epoch, count),
                false => (0..count).collect(),
            };
            *orders = (epoch, self.settings.iter().map(order).collect());
        }
        let batch = self.settings[0].batch;
        let rows = |order: &Vec<usize>| {
            order.chunks(batch).nth(place as usize).expect("a step of the epoch").to_vec()
        };
        orders.1.iter().map(rows).collect()
    }
}
