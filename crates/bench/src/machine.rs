//! What the machine can do at most.

use finetune::seconds_of;
use finetune::testing::peak;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

/// Floats that are copied to measure memory: far more than caches hold.
const COPIED: i64 = 1 << 26;
/// Calls of a tiny operator.
const CALLS: i32 = 20_000;

/// The machine's limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Threads, and the rate of a large matrix product in f32 with them, of 10⁹ operations per second.
    pub gemm: Vec<(usize, f64)>,
    /// GB read and written per second by a large copy.
    pub bandwidth: f64,
    /// Microseconds until an operator on one value returns.
    pub launch: f64,
}

/// One line of `machine.csv`.
#[derive(Debug, Serialize)]
pub struct Limit {
    pub what: String,
    pub unit: &'static str,
    pub value: f64,
}

impl Limits {
    pub fn measure(device: Device, threads: usize) -> Limits {
        let gemm = |threads: usize| {
            tch::set_num_threads(threads as i32);
            (threads, peak(Kind::Float, device) * 1e-9)
        };
        let mut counts = vec![1, threads];
        counts.dedup();
        let gemm = counts.into_iter().map(gemm).collect(); // ends with all threads
        let from = Tensor::ones([COPIED], (Kind::Float, device));
        let mut to = from.zeros_like();
        let wait = |tensor: &Tensor| drop(f64::try_from(tensor.get(0)));
        let copy = |_| {
            seconds_of(|| {
                to.copy_(&from);
                wait(&to);
            })
        };
        let seconds = (0..5).map(copy).fold(f64::INFINITY, f64::min);
        let one = Tensor::ones([1], (Kind::Float, device));
        let calls = || (0..CALLS).fold(one.shallow_clone(), |sum, _| sum.neg());
        let launch = (0..3).map(|_| seconds_of(|| wait(&calls()))).fold(f64::INFINITY, f64::min);
        Limits {
            gemm,
            bandwidth: 2.0 * 4.0 * COPIED as f64 / seconds * 1e-9,
            launch: launch / f64::from(CALLS) * 1e6,
        }
    }

    /// The better of two measurements, since other work on a machine only slows it down.
    pub fn best(&self, other: &Limits) -> Limits {
        let gemm = self.gemm.iter().zip(&other.gemm);
        Limits {
            gemm: gemm.map(|(&(threads, rate), (_, other))| (threads, rate.max(*other))).collect(),
            bandwidth: self.bandwidth.max(other.bandwidth),
            launch: self.launch.min(other.launch),
        }
    }

    pub fn lines(&self) -> Vec<Limit> {
        let gemm = self.gemm.iter().map(|(threads, rate)| Limit {
            what: format!("matrix product of f32 with {threads} threads"),
            unit: "GFLOP/s",
            value: *rate,
        });
        let others = [
            Limit { what: "memory, read and written".to_owned(), unit: "GB/s", value: self.bandwidth },
            Limit { what: "an operator on one value".to_owned(), unit: "µs", value: self.launch },
        ];
        gemm.chain(others).collect()
    }
}
