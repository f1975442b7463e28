//! Where trials run, in which kind they compute, and which may run together.

use runner::{Provenance, Workers, Workload};
use serde::{Deserialize, Serialize};
use tch::Kind;

/// In which kind the frozen networks compute; adapters and losses are in f32 either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    #[default]
    F32,
    Bf16,
}

impl Precision {
    pub fn kind(self) -> Kind {
        match self {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        }
    }
}

/// Device and library that trials of this process run on.
pub fn provenance(libtorch: &str) -> Provenance {
    let device = match tch::Device::cuda_if_available() {
        tch::Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    };
    Provenance { device, libtorch: libtorch.to_owned() }
}

/// On a CPU a bank per thread: two banks of one thread each finish sooner than two in turn with both.
pub fn workers(make: impl Fn() -> Box<dyn Workload> + Send + Sync + 'static) -> Option<Workers> {
    if tch::Cuda::is_available() {
        return None;
    }
    let threads = tch::get_num_threads().max(1) as usize;
    let make = move |workers: usize| -> Box<dyn Workload> {
        tch::set_num_threads((threads / workers).max(1) as i32);
        make()
    };
    Some(Workers { most: threads, make: Box::new(make) })
}
