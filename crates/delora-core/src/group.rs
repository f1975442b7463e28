//! The trials of a bank that share a method, its structure and its sites, stacked.

use serde_json::{Map, Value};
use tch::{Device, Kind, Tensor};

use crate::adapter::{Adapter, Init, ParameterSpec, Parameters, TENSOR_VALUE};
use crate::class::Class;
use crate::config::TrialConfig;
use crate::method::Method;
use crate::optimizer::BankAdamW;
use crate::parameter_group::Group;
use crate::site::Start;
use crate::store::{Origin, Store};

/// The groups of a task's own tensors, beside every method's.
pub const HEAD: [Group; 2] = [Group::Head, Group::HeadBias];

pub struct MethodGroup {
    pub method: &'static Method,
    /// The slot of its first trial; the others follow.
    pub first: usize,
    pub num_trials: usize,
    /// One per class of sites; absent where the method does not act.
    pub adapters: Vec<Option<Adapter>>,
    pub stores: Vec<Store>,
    pub optimizer: BankAdamW,
}

impl MethodGroup {
    /// `trials` share structure, sites and trained groups, and their settings have been checked; `acts` says where.
    pub fn new(
        method: &'static Method,
        first: usize,
        trials: &[TrialConfig],
        classes: &[Class],
        acts: &[bool],
        device: Device,
    ) -> Result<MethodGroup, String> {
        let settings: Vec<&Map<String, Value>> = trials.iter().map(|trial| &trial.method.settings).collect();
        let adapter = |(class, &acts): (&Class, &bool)| match class {
            Class::TaskTensor(class) => Ok(Some(Adapter::Tensor(class.group))),
            _ if acts => method.build(&settings, class).map(Some),
            _ => Ok(None),
        };
        let adapters: Vec<Option<Adapter>> =
            classes.iter().zip(acts).map(adapter).collect::<Result<_, _>>()?;
        let specs: Vec<_> =
            adapters.iter().zip(classes).map(|(adapter, class)| specs(adapter, class)).collect();
        let seeds: Vec<u64> = trials.iter().map(|trial| trial.seed).collect();
        let origin = Origin { method: method.name(), seeds: &seeds, classes, device };
        let trained = |group| trials[0].learning_rate.contains_key(group);
        let stores: Vec<Store> = (method.about.groups.iter().chain(&HEAD))
            .filter_map(|group| Store::new(&origin, &specs, Some(*group), trained(group)))
            .chain(Store::new(&origin, &specs, None, false))
            .collect();
        let (groups, leaves): (Vec<Group>, Vec<&Tensor>) = (stores.iter().filter(|store| store.trained))
            .filter_map(|store| Some((store.group?, &store.values)))
            .unzip();
        let optimizer = BankAdamW::new(&leaves, &groups, trials, device);
        Ok(MethodGroup { method, first, num_trials: trials.len(), adapters, stores, optimizer })
    }

    /// Every parameter by class, as views with their gradients.
    pub fn parameters(&self) -> Vec<Parameters> {
        let mut parameters: Vec<Parameters> = self.adapters.iter().map(|_| Parameters::default()).collect();
        self.stores.iter().for_each(|store| store.insert_into(&mut parameters));
        parameters
    }

    /// λ of one class, [trials, sites], where the method has one.
    pub fn strength(&self, class: usize, parameters: &Parameters) -> Option<Tensor> {
        let store = self.stores.iter().find(|store| store.group == Some(Group::Strength))?;
        store.names(class).next().map(|name| parameters[name].shallow_clone())
    }

    /// The tensors that gradients are taken of.
    pub fn leaves(&self) -> Vec<&Tensor> {
        trained(&self.stores)
    }

    /// `gradients` belong to `leaves`; `finite_losses` is `[trials]`.
    pub fn update(&mut self, step: u64, gradients: &[Tensor], finite_losses: &Tensor) {
        let leaves = trained(&self.stores);
        self.optimizer.step(step, &leaves, gradients, finite_losses);
        self.constrain();
    }

    /// Moves parameters to where their method allows them to be.
    pub fn constrain(&self) {
        let constrained = |adapter: &Option<Adapter>| match adapter {
            Some(Adapter::Linear(adapter)) => adapter.constrains(),
            _ => false,
        };
        if !self.adapters.iter().any(constrained) {
            return; // nearly all methods: no views of every parameter after every step
        }
        gradient_mode::off(|| {
            for (adapter, parameters) in self.adapters.iter().zip(&self.parameters()) {
                if let Some(Adapter::Linear(adapter)) = adapter {
                    adapter.constrain(parameters);
                }
            }
        });
    }
}

fn specs(adapter: &Option<Adapter>, class: &Class) -> Vec<ParameterSpec> {
    match (adapter, class) {
        (Some(Adapter::Linear(adapter)), _) => adapter.parameters(),
        (Some(Adapter::Hidden(adapter)), _) => adapter.parameters(),
        (Some(Adapter::Tensor(group)), Class::Tensor(class)) => {
            let start = Init::PerSite(Tensor::stack(&class.values, 0));
            vec![ParameterSpec::trained(TENSOR_VALUE, *group, &class.values[0].size(), start)]
        }
        (Some(Adapter::Tensor(group)), Class::TaskTensor(class)) => {
            vec![ParameterSpec::trained(TENSOR_VALUE, *group, &class.shape, init(&class.starts))]
        }
        _ => Vec::new(),
    }
}

/// How the task's tensors of a class start, at all its sites.
fn init(starts: &[Start]) -> Init {
    let given = starts.iter().filter_map(|start| match start {
        Start::Given(values) => Some(values.to_kind(Kind::Float).to_device(Device::Cpu)),
        _ => None,
    });
    match &starts[0] {
        &Start::Normal { std } => Init::Normal { std },
        Start::Zero => Init::Zero,
        Start::Given(_) => Init::PerSite(Tensor::stack(&given.collect::<Vec<_>>(), 0)),
    }
}

fn trained(stores: &[Store]) -> Vec<&Tensor> {
    stores.iter().filter(|store| store.trained).map(|store| &store.values).collect()
}
