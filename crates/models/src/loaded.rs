//! A frozen network together with its weights, and how it is loaded from a folder.

use std::collections::HashSet;
use std::path::Path;

use tch::{Device, Kind, Tensor, nn};

use crate::config::Config;
use crate::layers::Adaptable;
use crate::weights::naming::Naming;
use crate::weights::{Weights, WeightsError, fill, find_weights, read_config};

/// A frozen network and the store that owns its weights.
#[derive(Debug)]
pub struct Loaded<T> {
    pub network: T,
    store: nn::VarStore,
}

impl<T: Adaptable> Loaded<T> {
    /// Name and value of every tensor that belongs to no linear layer behind the hook, by name.
    pub fn other_tensors(&self) -> Vec<(String, Tensor)> {
        let linears: HashSet<String> =
            self.network.linears().into_iter().map(|(linear, _)| linear.name.clone()).collect();
        let is_other = |name: &str| name.rsplit_once('.').is_none_or(|(layer, _)| !linears.contains(layer));
        let mut others: Vec<(String, Tensor)> =
            self.store.variables().into_iter().filter(|(name, _)| is_other(name)).collect();
        others.sort_by(|left, right| left.0.cmp(&right.0));
        others
    }
}

impl<T> Loaded<T> {
    /// A network that was built in `store` and not loaded, frozen.
    pub fn built(network: T, mut store: nn::VarStore) -> Loaded<T> {
        store.freeze();
        Loaded { network, store }
    }

    /// The network that `build` makes, with fresh weights.
    pub(crate) fn fresh(build: impl FnOnce(&nn::Path) -> T) -> Loaded<T> {
        let store = nn::VarStore::new(Device::Cpu);
        Loaded { network: build(&store.root()), store }
    }

    /// The network that `build` makes, with fresh weights, where it does not refuse its config.
    pub(crate) fn try_fresh<E>(build: impl FnOnce(&nn::Path) -> Result<T, E>) -> Result<Loaded<T>, E> {
        let store = nn::VarStore::new(Device::Cpu);
        Ok(Loaded { network: build(&store.root())?, store })
    }

    /// Lays the kernels of convolutions out with the channels last. What a convolution gives then has that layout too, so that
    /// attention reads pictures as rows of pixels without a copy.
    pub fn put_channels_last(&self) {
        for mut kernel in self.store.variables().into_values().filter(|tensor| tensor.dim() == 4) {
            let laid_out = kernel.detach().permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
            kernel.set_data(&laid_out);
        }
    }

    /// Bytes of the network's weights.
    pub fn bytes(&self) -> usize {
        self.store.variables().values().map(|tensor| tensor.numel() * tensor.kind().elt_size_in_bytes()).sum()
    }
}

/// The network that `build` makes, in `kind`, frozen and on `device`, filled from the weights that `folder` holds under the
/// names of `naming`.
pub(crate) fn load_folder<T, E: From<WeightsError>>(
    folder: &Path,
    naming: &Naming,
    kind: Kind,
    device: Device,
    build: impl FnOnce(&nn::Path) -> Result<T, E>,
) -> Result<Loaded<T>, E> {
    filled(&Weights::open(&find_weights(folder)?)?, naming, kind, device, build)
}

/// The same as [`load_folder`], from `weights`.
pub(crate) fn filled<T, E: From<WeightsError>>(
    weights: &Weights,
    naming: &Naming,
    kind: Kind,
    device: Device,
    build: impl FnOnce(&nn::Path) -> Result<T, E>,
) -> Result<Loaded<T>, E> {
    let load = || {
        let mut store = nn::VarStore::new(device);
        store.set_kind(kind);
        let network = build(&store.root())?;
        fill(&store, weights, naming)?;
        store.freeze();
        Ok(Loaded { network, store })
    };
    let lacks_memory = |problem| WeightsError::Memory { path: weights.path().to_owned(), problem };
    out_of_memory::within(load).map_err(lacks_memory)?
}

/// The network that `build` makes by the `config.json` of `folder`, in f32, frozen and on `device`, filled from the
/// weights there.
pub(crate) fn load_with_config<C: Config, T>(
    folder: &Path,
    naming: &Naming,
    device: Device,
    build: impl FnOnce(&nn::Path, &C) -> T,
) -> Result<Loaded<T>, WeightsError> {
    let config: C = read_config(&folder.join("config.json"))?;
    load_folder(folder, naming, Kind::Float, device, |path| Ok(build(path, &config)))
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, panic_any};

    use super::*;
    use crate::weights::naming::PLAIN;

    #[test]
    fn a_network_without_room_is_an_error_that_names_its_folder_and_other_panics_go_on() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/mini/dino"));
        let load = |text: &'static str| {
            let build = |_: &nn::Path| -> Result<(), WeightsError> { panic_any(text.to_owned()) };
            catch_unwind(|| load_folder(folder, &PLAIN, Kind::Float, Device::Cpu, build).map(|_| ()))
        };
        let told = load(
            "Torch(\"DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.\\nframe",
        );
        let told = told.unwrap().unwrap_err().to_string();
        assert!(told.starts_with(&folder.display().to_string()), "{told}");
        assert!(told.contains("(can't allocate memory: you tried to allocate 9 bytes.)"), "{told}");
        assert!(load("something else").is_err());
    }
}
