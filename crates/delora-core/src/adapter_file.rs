//! A trial's adapter by itself: its method and every parameter and constant, in a bank or in a file.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::bank::Bank;
use crate::config::{MethodConfig, TrialConfig};
use crate::error::CoreError;
use crate::methods::find_method;
use crate::site::Site;
use crate::target::Target;
use crate::tensor_file::{Values, decode, write};

/// What a trial has learnt, and all that its method needs beside the network to use it.
///
/// ```
/// use delora_core::{AdapterFile, Bank, Role, Site, TrialConfig, settings::Delora};
/// use tch::{Device, Kind, Tensor};
///
/// let weight = Tensor::randn([4, 6], (Kind::Float, Device::Cpu));
/// let sites = [Site::linear("layer", Role::Other, &weight, None)];
/// let trial = TrialConfig::new(Delora { rank: 2, ..Default::default() }, 1e-2, 1);
/// let mut bank = Bank::new(&sites, &[trial], Device::Cpu)?;
/// let input = Tensor::randn([1, 5, 6], (Kind::Float, Device::Cpu));
/// bank.step(&bank.forward("layer", &weight, None, &input).square().sum(Kind::Float).view(1));
///
/// let path = std::env::temp_dir().join(format!("delora_doc_{}.safetensors", std::process::id()));
/// bank.adapter(0)?.save(&path)?;
/// let loaded = AdapterFile::load(&path)?;
/// assert_eq!(loaded.method.name, "delora");
/// assert_eq!(loaded.tensors, bank.adapter(0)?.tensors);
/// assert_eq!(loaded.bank(&sites)?.merged("layer", 0)?, bank.merged("layer", 0)?);
/// std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AdapterFile {
    /// The trial's method with its settings.
    pub method: MethodConfig,
    /// The linear layers that the method adapts; absent: all.
    pub targets: Option<Vec<Target>>,
    /// The trial's seed.
    pub seed: u64,
    /// Parameters and constants, named `site.parameter` and shaped as in the method's header, f32.
    pub tensors: BTreeMap<String, Tensor>,
    /// Where it was read from, for messages.
    pub path: Option<PathBuf>,
}

/// The key of the file's metadata that holds the [`Header`].
const KEY: &str = "delora_adapter";
const FORMAT: u64 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u64,
    method: MethodConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    targets: Option<Vec<Target>>,
    seed: u64,
}

impl AdapterFile {
    /// Writes a safetensors file; a file of that name is replaced whole or not at all.
    pub fn save(&self, path: &Path) -> Result<(), CoreError> {
        let AdapterFile { method, targets, seed, .. } = self;
        let header = Header { format: FORMAT, method: method.clone(), targets: targets.clone(), seed: *seed };
        let header = serde_json::to_string(&header).expect("a header is plain data");
        let metadata = HashMap::from([(KEY.to_owned(), header), ("format".to_owned(), "pt".to_owned())]);
        write(path, &self.tensors, metadata, Values::Finite, problem)
    }

    /// Reads what `save` wrote.
    pub fn load(path: &Path) -> Result<AdapterFile, CoreError> {
        let file = fs::read(path).map_err(|source| CoreError::Io { path: path.to_owned(), source })?;
        let file = decode(&file, Values::Finite).map_err(|error| problem(path, error))?;
        let header = file.metadata.get(KEY).ok_or_else(|| {
            let writers = "`delora run --save-adapters` and `delora import` write adapter files";
            problem(path, format!("its metadata has no `{KEY}`, so it is no adapter file; {writers}"))
        })?;
        let damaged = |error| problem(path, format!("`{KEY}` in its metadata cannot be read: {error}"));
        let header: serde_json::Value = serde_json::from_str(header).map_err(damaged)?;
        if header["format"] != FORMAT {
            let found = &header["format"];
            return Err(problem(path, format!("it has format {found}; this program reads format {FORMAT}")));
        }
        let Header { method, targets, seed, .. } = serde_json::from_value(header).map_err(damaged)?;
        let path = Some(path.to_owned());
        Ok(AdapterFile { method, targets, seed, tensors: file.tensors, path })
    }

    /// A trial that has this adapter's form; its learning rates are zero.
    pub fn trial(&self) -> Result<TrialConfig, CoreError> {
        find_method(&self.method.name)?;
        let trial = TrialConfig::new(self.method.clone(), 0.0, self.seed);
        Ok(TrialConfig { targets: self.targets.clone(), ..trial })
    }

    /// A bank of one trial, on the CPU, that has this adapter; `sites` are its network's.
    pub fn bank(&self, sites: &[Site]) -> Result<Bank, CoreError> {
        let misfit =
            |error: CoreError| CoreError::Adapter { place: self.place(), problem: error.to_string() };
        let mut bank = Bank::new(sites, &[self.trial().map_err(misfit)?], Device::Cpu).map_err(misfit)?;
        bank.load_adapter(0, self)?;
        Ok(bank)
    }

    /// For messages.
    pub(crate) fn place(&self) -> String {
        match &self.path {
            Some(path) => format!("adapter `{}`", path.display()),
            None => "adapter".to_owned(),
        }
    }
}

impl Bank {
    /// A copy of what one trial has.
    pub fn adapter(&self, slot: usize) -> Result<AdapterFile, CoreError> {
        self.known_slot(slot)?;
        let TrialConfig { method, targets, seed, .. } = self.trial(slot).clone();
        let mut tensors = BTreeMap::new();
        for parameter in self.parameter_names(slot) {
            tensors.insert(
                format!("{}.{}", parameter.site, parameter.name),
                self.parameter(&parameter.site, slot, parameter.name)?,
            );
        }
        Ok(AdapterFile { method, targets, seed, tensors, path: None })
    }

    /// Gives a trial of the same method and structure the adapter's parameters and constants; its optimizer and seed
    /// stay its own.
    ///
    /// Names and shapes have to be the trial's; errors name the tensor and change nothing.
    pub fn load_adapter(&mut self, slot: usize, adapter: &AdapterFile) -> Result<(), CoreError> {
        self.known_slot(slot)?;
        let misfit = |problem: String| CoreError::Adapter { place: adapter.place(), problem };
        self.check_form(slot, adapter).map_err(misfit)?;
        let mut pairs = Vec::new();
        for parameter in self.parameter_names(slot) {
            let (view, name) = (
                self.parameter_view(&parameter.site, slot, parameter.name)?,
                format!("{}.{}", parameter.site, parameter.name),
            );
            let wanted = format!("{:?} {:?}", Kind::Float, view.size());
            let value = adapter.tensors.get(&name);
            let value =
                value.ok_or_else(|| misfit(format!("tensor `{name}` is missing; wanted is {wanted}")))?;
            if value.size() != view.size() || value.kind() != Kind::Float {
                let found = format!("{:?} {:?}", value.kind(), value.size());
                return Err(misfit(format!(
                    "tensor `{name}` is {found}; wanted is {wanted}, as the network's layer asks"
                )));
            }
            pairs.push((name, view, value));
        }
        if let Some(name) = adapter.tensors.keys().find(|name| pairs.iter().all(|(known, ..)| known != *name))
        {
            let problem =
                format!("tensor `{name}` belongs to no layer that its method adapts in this network");
            return Err(misfit(problem));
        }
        gradient_mode::off(|| pairs.iter_mut().for_each(|(_, view, value)| view.copy_(value)));
        self.refresh();
        Ok(())
    }

    /// Says why the adapter is of another form than the trial.
    fn check_form(&self, slot: usize, adapter: &AdapterFile) -> Result<(), String> {
        let (method, trial, given) = (self.method(slot), &self.trial(slot).method, &adapter.method);
        if trial.name != given.name {
            return Err(format!("it is of method `{}`; the trial is of `{}`", given.name, trial.name));
        }
        let (given, trial) = (method.structure(&given.settings)?, method.structure(&trial.settings)?);
        if given != trial {
            return Err(format!("its settings are {given}; the trial's are {trial}"));
        }
        Ok(())
    }
}

fn problem(path: &Path, problem: impl ToString) -> CoreError {
    CoreError::Adapter { place: format!("adapter `{}`", path.display()), problem: problem.to_string() }
}
