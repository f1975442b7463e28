//! Where trials run, in which kind they compute, and which may run together.

use runner::{Provenance, WorkerPlace, Workers, Workload};
use serde::{Deserialize, Serialize};
use tch::Kind;

/// In which kind the frozen networks compute; adapters and losses are in f32 either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    #[default]
    F32,
    /// f32 whose products and convolutions round their factors to 10 bits on a GPU; on a CPU it is f32.
    Tf32,
    Bf16,
}

impl Precision {
    pub fn kind(self) -> Kind {
        match self {
            Precision::F32 | Precision::Tf32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        }
    }
}

/// Device and library that trials of this thread run on.
pub fn provenance(libtorch: &str) -> Provenance {
    Provenance { device: device::name(device::here()), libtorch: libtorch.to_owned() }
}

/// Computes with as many threads as each of the workers would have, if all were at work.
pub(crate) fn with_threads_of_a_worker<R>(work: impl FnOnce() -> R) -> R {
    let threads = tch::get_num_threads();
    tch::set_num_threads((threads / device::chosen().len() as i32).max(1));
    let result = work();
    tch::set_num_threads(threads);
    result
}

/// A worker for each chosen device. On a CPU that is a bank per thread: two banks of one thread each finish sooner than
/// two in turn with both.
pub fn workers(make: impl Fn() -> Box<dyn Workload> + Send + Sync + 'static) -> Option<Workers> {
    let devices = device::chosen();
    let threads = tch::get_num_threads().max(1) as usize;
    let most = devices.len();
    let make = move |place: WorkerPlace| -> Box<dyn Workload> {
        device::enter(devices[place.index]);
        tch::set_num_threads((threads / place.count).max(1) as i32);
        make()
    };
    Some(Workers { most, make: Box::new(make) })
}
