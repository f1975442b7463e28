//! GPUs that a plan can be made for without having one.

/// A GPU as its maker describes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gpu {
    /// The word for it after `--device`.
    pub name: &'static str,
    pub title: &'static str,
    /// In 10⁹ bytes.
    pub memory: f64,
    /// In 10⁹ bytes per second.
    pub bandwidth: f64,
    /// What tensor cores do in bf16 that add up in f32, without sparsity, in 10¹² operations per second.
    pub bf16: f64,
    /// The same of products of f32 that are rounded to TF32.
    pub tf32: f64,
    /// The same of products of f32 as they are.
    pub f32: f64,
    /// Where the numbers are from.
    pub source: &'static str,
}

/// What can be planned for.
pub const GPUS: [Gpu; 5] = [
    Gpu {
        name: "h200",
        title: "NVIDIA H200 SXM",
        memory: 141.0,
        bandwidth: 4800.0,
        bf16: 989.5,
        tf32: 494.5,
        f32: 67.0,
        source: "NVIDIA H200 data sheet",
    },
    Gpu {
        name: "h100",
        title: "NVIDIA H100 SXM 80 GB",
        memory: 80.0,
        bandwidth: 3350.0,
        bf16: 989.5,
        tf32: 494.5,
        f32: 67.0,
        source: "NVIDIA H100 data sheet",
    },
    Gpu {
        name: "a100-80",
        title: "NVIDIA A100 SXM 80 GB",
        memory: 80.0,
        bandwidth: 2039.0,
        bf16: 312.0,
        tf32: 156.0,
        f32: 19.5,
        source: "NVIDIA A100 data sheet",
    },
    Gpu {
        name: "l40s",
        title: "NVIDIA L40S",
        memory: 48.0,
        bandwidth: 864.0,
        bf16: 362.0,
        tf32: 183.0,
        f32: 91.6,
        source: "NVIDIA L40S data sheet",
    },
    Gpu {
        name: "4090",
        title: "NVIDIA GeForce RTX 4090",
        memory: 24.0,
        bandwidth: 1008.0,
        bf16: 165.2,
        tf32: 82.6,
        f32: 82.6,
        source: "NVIDIA Ada GPU architecture paper",
    },
];

/// The share of their peak that products reach. An assumption: kernels reach 40 to 70 % of it on matrices of this size.
pub const SHARE_OF_OPERATIONS: f64 = 0.5;
/// The share of the peak that elementwise kernels reach. An assumption.
pub const SHARE_OF_BANDWIDTH: f64 = 0.75;
/// Seconds that the host needs for one operator of libtorch, forward or backward. An assumption.
pub const SECONDS_PER_OPERATOR: f64 = 6e-6;

/// The struct `Rates` of `stand_in.h`, field by field.
#[repr(C)]
pub(crate) struct Rates {
    memory: u64,
    half_operations: f64,
    tf32_operations: f64,
    float_operations: f64,
    bytes: f64,
    start: f64,
}

impl Gpu {
    /// The GPU that users call `name`.
    pub fn find(name: &str) -> Option<&'static Gpu> {
        GPUS.iter().find(|gpu| gpu.name == name)
    }

    /// What a plan for it rests on, in words.
    pub fn prediction(&self) -> String {
        format!(
            "This is a prediction for one {}, of which nothing was used: {} GB, {} GB/s, {} TFLOP/s in bf16, {} in TF32 and {} in f32 \
             ({}), of which kernels are taken to reach {:.0} % (memory) and {:.0} % (products), and {:.0} µs for an operator. \
             Memory is counted byte by byte; libraries' workspaces come beside it.",
            self.title,
            self.memory,
            self.bandwidth,
            self.bf16,
            self.tf32,
            self.f32,
            self.source,
            SHARE_OF_BANDWIDTH * 100.0,
            SHARE_OF_OPERATIONS * 100.0,
            SECONDS_PER_OPERATOR * 1e6
        )
    }

    pub(crate) fn rates(&self) -> Rates {
        Rates {
            memory: (self.memory * 1e9) as u64,
            half_operations: self.bf16 * 1e12 * SHARE_OF_OPERATIONS,
            tf32_operations: self.tf32 * 1e12 * SHARE_OF_OPERATIONS,
            float_operations: self.f32 * 1e12 * SHARE_OF_OPERATIONS,
            bytes: self.bandwidth * 1e9 * SHARE_OF_BANDWIDTH,
            start: SECONDS_PER_OPERATOR,
        }
    }
}
