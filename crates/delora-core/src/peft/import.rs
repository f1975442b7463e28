//! From PEFT's adapters to ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tch::{Kind, Tensor};

use super::config::Form;
use super::folder::{IA3, LORA, OFT, PREFIX, TASK_VALUE, TENSORS_FILE, VERA, VERA_SHARED, misfit};
use super::low_rank::is_adapted;
use crate::adapter_file::AdapterFile;
use crate::bank::Bank;
use crate::error::CoreError;
use crate::norms::column_norms;
use crate::site::{Part, Role, Site};
use crate::target::Target;
use crate::tensor_file::{Values, decode};

/// A PEFT adapter as one of ours.
#[derive(Debug)]
pub struct Imported {
    /// The adapter, with the folder that it was read from.
    pub adapter: AdapterFile,
    /// What is not as a reader would expect, in sentences.
    pub notes: Vec<String>,
}

/// How far PEFT's copy of W's norms may be from ours, relative to the largest of them, where both are computed in f32.
const SAME_NORMS: f64 = 1e-3;
/// Kinds in which PEFT may have computed norms, and their unit roundoff, the coarsest first.
const KINDS: [(Kind, f64); 2] = [(Kind::BFloat16, 1.0 / 256.0), (Kind::Half, 1.0 / 2048.0)];

/// Reads a folder of PEFT's for the network of `sites`.
///
/// Strict: a setting that changes outputs and is not known here, a tensor that belongs nowhere, and layers that no
/// choice of roles gives are errors that name the file, what was found and what would do.
pub fn from_peft(folder: &Path, sites: &[Site]) -> Result<Imported, CoreError> {
    let form = Form::read(folder)?;
    let path = folder.join(TENSORS_FILE);
    let file = fs::read(&path).map_err(|source| CoreError::Io { path: path.clone(), source })?;
    let tensors = decode(&file, Values::Finite).map_err(|problem| misfit(&path, problem))?.tensors;
    let mut import = Import { path, form, sites, layers: BTreeMap::new(), tensors: BTreeMap::new() };
    import.read(tensors)?;
    import.adapter(folder)
}

struct Import<'a> {
    path: PathBuf,
    form: Form,
    sites: &'a [Site],
    /// The adapted layers.
    layers: BTreeMap<String, &'a Site>,
    /// In our names.
    tensors: BTreeMap<String, Tensor>,
}

impl<'a> Import<'a> {
    fn problem(&self, problem: impl ToString) -> CoreError {
        misfit(&self.path, problem)
    }

    /// Takes over PEFT's tensors, layer by layer.
    fn read(&mut self, mut stored: BTreeMap<String, Tensor>) -> Result<(), CoreError> {
        let shared = VERA_SHARED.map(|name| stored.remove(name));
        for (key, value) in stored {
            if let Some(name) = self.task_tensor(&key) {
                self.tensors.insert(name, value.to_kind(Kind::Float));
                continue;
            }
            let (layer, name) = self.parse(&key)?;
            let site = self.sites.iter().find(|site| site.name == layer);
            let Some((site, Part::Linear { role, weight, .. })) = site.map(|site| (site, &site.part)) else {
                return Err(
                    self.problem(format!("tensor `{key}`: the network has no linear layer `{layer}`"))
                );
            };
            let value = value.to_kind(Kind::Float);
            let value = match self.form.method.name.as_str() {
                "delora" if name == "w_norm" => {
                    self.compare_norms(&key, &value, weight)?;
                    None
                }
                "delora" if name == "lambda" => Some(value.squeeze()),
                "ia3" => Some(self.ia3(&key, &value, *role)?),
                _ => Some(value),
            };
            self.tensors.extend(value.map(|value| (format!("{layer}.{name}"), value)));
            self.layers.insert(layer, site);
        }
        if self.layers.is_empty() {
            return Err(self.problem(format!("no tensor's name starts with `{PREFIX}`")));
        }
        let [a, b] = shared;
        match (self.form.names == VERA, a, b) {
            (true, Some(a), Some(b)) => self.cut(&a.to_kind(Kind::Float), &b.to_kind(Kind::Float)),
            (false, None, None) => Ok(()),
            _ => {
                Err(self
                    .problem(format!("VeRA, and no other, has the tensors {}", VERA_SHARED.join(" and "))))
            }
        }
    }

    /// Our name of a tensor of the task, if `key` is of one.
    fn task_tensor(&self, key: &str) -> Option<String> {
        let name = key.strip_prefix(PREFIX)?;
        let is_own = |site: &&Site| matches!(site.part, Part::TaskTensor { .. }) && site.name == name;
        self.sites.iter().find(is_own).map(|site| format!("{}.{TASK_VALUE}", site.name))
    }

    /// Layer and our name of the parameter.
    fn parse(&self, key: &str) -> Result<(String, &'static str), CoreError> {
        let names = self.form.names.iter();
        let mut parts = names.filter_map(|[ours, theirs]| {
            Some((key.strip_prefix(PREFIX)?.strip_suffix(theirs)?.to_owned(), *ours))
        });
        parts.next_back().ok_or_else(|| {
            let endings: Vec<&str> = self.form.names.iter().map(|[_, theirs]| *theirs).collect();
            let wanted = format!("names are `{PREFIX}`, a layer, and one of {}", endings.join(", "));
            self.problem(format!("tensor `{key}` is not known; {wanted}"))
        })
    }

    /// PEFT keeps the norms of the weight that the adapter was trained on, in that weight's kind: the weight and its norm
    /// are each rounded to it.
    fn compare_norms(&self, key: &str, theirs: &Tensor, weight: &Tensor) -> Result<(), CoreError> {
        let ours = column_norms(&weight.to_kind(Kind::Float));
        let (sizes, found) = (ours.size(), theirs.size());
        if sizes == found {
            let allowed = (&ours * (2.0 * roundoff(theirs))).clamp_min_tensor(&(ours.max() * SAME_NORMS));
            if (&ours - theirs).abs().le_tensor(&allowed).all().double_value(&[]) == 1.0 {
                return Ok(());
            }
        }
        Err(self.problem(format!(
            "tensor `{key}` holds other norms than the network's weight; it is of another network"
        )))
    }

    /// PEFT scales what goes into a feed-forward module, and what comes out of any other.
    fn ia3(&self, key: &str, value: &Tensor, role: Role) -> Result<Tensor, CoreError> {
        let axis = if role == Role::FeedForwardOut { 0 } else { 1 };
        match value.size().as_slice() {
            sizes if sizes.len() == 2 && sizes[axis] == 1 => Ok(value.flatten(0, 1)),
            sizes => {
                let wanted = if axis == 0 { "[1, in_features]" } else { "[out_features, 1]" };
                Err(self.problem(format!(
                    "tensor `{key}` is {sizes:?}; here a layer of role `{role}` has {wanted}"
                )))
            }
        }
    }

    /// Each layer's share of VeRA's A [rank, in_features] and B [out_features, rank].
    fn cut(&mut self, a: &Tensor, b: &Tensor) -> Result<(), CoreError> {
        let (Ok((_, width)), Ok((height, _))) = (a.size2(), b.size2()) else {
            return Err(self.problem(format!("{} are no matrices", VERA_SHARED.join(" and "))));
        };
        for (layer, site) in &self.layers {
            let Part::Linear { weight, .. } = &site.part else { unreachable!("adapted layers are linear") };
            let (out_features, in_features) = weight.size2().expect("a weight is a matrix");
            if width < in_features || height < out_features {
                let problem = format!(
                    "its shared A has {width} columns and B {height} rows; `{layer}` is [{out_features}, {in_features}]"
                );
                return Err(self.problem(problem));
            }
            self.tensors.insert(format!("{layer}.A"), a.narrow(1, 0, in_features));
            self.tensors.insert(format!("{layer}.B"), b.narrow(0, 0, out_features));
        }
        Ok(())
    }

    /// PEFT's series is that of (I + S)(I − S)⁻¹, its exact map and ours (I − S)(I + S)⁻¹: S changes its sign.
    /// Returns what is lost: after S^(terms − 1) the series ends, and no singular value of S is above ‖R‖.
    fn turn_back(&mut self, terms: i32) -> String {
        let mut largest: f64 = 0.0;
        for entries in self.tensors.values_mut() {
            *entries = entries.neg();
            largest = largest.max(entries.norm_scalaropt_dim(2, [-1], false).max().double_value(&[]));
        }
        let error = match largest {
            size if size < 1.0 => format!("by at most {:.0e}", 2.0 * size.powi(terms - 1) / (1.0 - size)),
            size => format!("without a bound, as the largest R has norm {size:.1}"),
        };
        format!(
            "PEFT took {terms} terms of a series for OFT's Cayley map (`use_cayley_neumann`), which is exact here: \
             rotations differ {error} (spectral norm)"
        )
    }

    /// Checks everything against a bank of the method, which fills in its constants.
    fn adapter(mut self, folder: &Path) -> Result<Imported, CoreError> {
        let mut notes = Vec::new();
        if self.form.names == OFT {
            let blocks =
                self.tensors.values().next().and_then(|tensor| tensor.size().first().copied()).unwrap_or(0);
            self.form.method.settings.insert("blocks".to_owned(), json!(blocks));
            notes.extend(self.form.series_terms.map(|terms| self.turn_back(terms)));
        }
        notes.extend(self.widen()?);
        for layer in self.layers.keys() {
            let scale =
                self.form.scale(layer).map(|scale| (format!("{layer}.scale"), Tensor::from(scale as f32)));
            self.tensors.extend(scale);
        }
        let (method, path) = (self.form.method.clone(), Some(folder.to_owned()));
        let mut adapter =
            AdapterFile { method, targets: self.targets(), seed: 0, tensors: BTreeMap::new(), path };
        let mut bank = Bank::new(self.sites, &[adapter.trial()?], tch::Device::Cpu)
            .map_err(|error| misfit(folder, error))?;
        let mut adapted = self.sites.iter().filter(|site| is_adapted(&bank, site));
        if let Some(missing) = adapted.find(|site| !self.layers.contains_key(&site.name)) {
            let wanted = "the method adapts all keys, values and second halves of feed-forward blocks";
            return Err(self.problem(format!("it does not adapt `{}`; {wanted}", missing.name)));
        }
        if self.form.method.name == "pissa" {
            // The start of PEFT's, made again from the same weight.
            for (layer, name) in self.layers.keys().flat_map(|layer| [(layer, "A0"), (layer, "B0")]) {
                self.tensors.insert(format!("{layer}.{name}"), bank.parameter(layer, 0, name)?);
            }
        }
        adapter.tensors = self.tensors;
        bank.load_adapter(0, &adapter)?;
        bank.constrain();
        Ok(Imported { adapter: AdapterFile { path: adapter.path, ..bank.adapter(0)? }, notes })
    }

    /// Roles of the adapted layers, or their names where they are not all that have these roles; IA3 chooses its own.
    fn targets(&self) -> Option<Vec<Target>> {
        let role = |site: &&Site| match &site.part {
            Part::Linear { role, .. } => Some(*role),
            _ => None,
        };
        let roles: BTreeSet<Role> = self.layers.values().filter_map(role).collect();
        let of_roles = self.sites.iter().filter(|site| role(site).is_some_and(|role| roles.contains(&role)));
        let is_whole = of_roles.count() == self.layers.len();
        (self.form.names != IA3).then(|| match is_whole {
            true => roles.into_iter().map(Target::Role).collect(),
            false => self.layers.keys().map(|name| Target::layer(name)).collect(),
        })
    }

    /// Gives all layers the rank of the largest, by zeros in A and B: what they make is the same.
    fn widen(&mut self) -> Result<Option<String>, CoreError> {
        if self.form.names != LORA {
            return Ok(None);
        }
        let mut ranks = BTreeSet::new();
        for layer in self.layers.keys() {
            if self.form.is_ambiguous(layer) {
                return Err(self.problem(format!(
                    "`rank_pattern` or `alpha_pattern` of adapter_config.json has several values for `{layer}`; leave one pattern that \
                     fits it"
                )));
            }
            let wanted = self.form.rank(layer);
            let size = |name: &str| self.tensors.get(&format!("{layer}.{name}")).map(Tensor::size);
            // A factor that is missing is named when all are compared with the network.
            if let (Some(a), Some(b)) = (size("A"), size("B"))
                && (a.len() != 2 || b.len() != 2 || a[0] != wanted || b[1] != wanted)
            {
                return Err(self.problem(format!(
                    "`{layer}` has factors of the shapes {a:?} and {b:?}; its rank is {wanted} by adapter_config.json"
                )));
            }
            ranks.insert(wanted);
        }
        let rank = ranks.last().copied().unwrap_or(0);
        self.form.method.settings.insert("rank".to_owned(), json!(rank));
        if ranks.len() < 2 {
            return Ok(None);
        }
        for layer in self.layers.keys() {
            let more = rank - self.form.rank(layer);
            for (name, padding) in [("A", [0, 0, 0, more]), ("B", [0, more, 0, 0])] {
                if let Some(factor) = self.tensors.get_mut(&format!("{layer}.{name}")) {
                    *factor = factor.constant_pad_nd(padding);
                }
            }
        }
        let ranks: Vec<String> = ranks.iter().map(i64::to_string).collect();
        Ok(Some(format!(
            "its layers have ranks of {}; here all have {rank}, with zeros where theirs ends, which makes the same outputs",
            ranks.join(" and ")
        )))
    }
}

/// The unit roundoff of the kind that `values` were computed in: PEFT may have widened them when it loaded or saved them,
/// which leaves them the numbers of that kind. 0 for f32.
fn roundoff(values: &Tensor) -> f64 {
    let is_of = |kind: Kind| values.to_kind(kind).to_kind(values.kind()) == *values;
    KINDS.iter().find(|(kind, _)| is_of(*kind)).map_or(0.0, |(_, roundoff)| *roundoff)
}
