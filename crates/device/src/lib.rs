//! Which devices this process computes on, and what libtorch says of them.
//!
//! [`choose`] takes what a user writes after `--devices`. Each worker calls [`enter`] with one of [`chosen`] first;
//! whatever it loads afterwards asks [`here`]. A process that never chooses computes on the first CUDA device, or on the
//! CPU where there is none.
//!
//! `stand_in.cpp` has CUDA devices without a GPU: for tests, which switch it on by `STAND_IN_CUDA_DEVICES`, and for a
//! plan for a [`Gpu`] that is not at hand, see [`become_gpu`].

mod cuda;
mod gpu;
mod list;
mod math;

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;
use std::time::Instant;

use tch::Device;

pub use cuda::{Cuda, libtorch_folder, load_cuda};
pub use gpu::{GPUS, Gpu};
pub use list::{DevicesError, Machine, parse};
pub use math::{Math, with_math};

static CHOSEN: OnceLock<Vec<Device>> = OnceLock::new();

thread_local! {
    static HERE: Cell<Option<Device>> = const { Cell::new(None) };
}

/// Sets the devices of this process; the first call counts.
pub fn choose(devices: Vec<Device>) {
    let _ = CHOSEN.set(devices);
}

/// The devices that were chosen, one for each worker; else all CUDA devices; without any, the CPU once for each thread.
pub fn chosen() -> Vec<Device> {
    CHOSEN.get().cloned().unwrap_or_else(|| Machine::here().all())
}

/// Makes `device` the one of this thread.
pub fn enter(device: Device) {
    HERE.set(Some(device));
}

/// The device of this thread.
pub fn here() -> Device {
    HERE.get().unwrap_or_else(|| chosen()[0])
}

/// The name of a device as users write it: `cpu` or `cuda:0`.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

/// Memory of a CUDA device in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What tensors hold now.
    pub held: u64,
    /// The most that they held, or held since [`forget_peak`].
    pub peak: u64,
    /// What nobody on this machine holds.
    pub free: u64,
    /// All that the device has.
    pub total: u64,
}

#[expect(unsafe_code, reason = "functions of src/libtorch.cpp, which catch what libtorch throws")]
mod ffi {
    use super::{c_char, c_int};
    use crate::gpu::Rates;

    unsafe extern "C" {
        pub safe fn delora_device_memory(device: c_int, bytes: &mut [i64; 4]) -> bool;
        pub safe fn delora_device_forget_peak(device: c_int);
        pub safe fn delora_device_give_back();
        pub safe fn delora_device_set_math(tf32: bool, tries_algorithms: bool);
        pub safe fn delora_device_is_stand_in() -> bool;
        pub safe fn delora_device_become(rates: &Rates);
        pub safe fn delora_device_seconds() -> f64;
        pub fn delora_device_region(name: *const c_char);
    }
}

/// The memory of a CUDA device; none of the CPU, and where libtorch does not say.
pub fn memory(device: Device) -> Option<Memory> {
    let Device::Cuda(index) = device else { return None };
    let mut bytes = [0; 4];
    ffi::delora_device_memory(index as c_int, &mut bytes).then(|| {
        let [held, peak, free, total] = bytes.map(|bytes| bytes as u64);
        Memory { held, peak, free, total }
    })
}

/// Lets the peak of a CUDA device begin anew at what is held now.
pub fn forget_peak(device: Device) {
    if let Device::Cuda(index) = device {
        ffi::delora_device_forget_peak(index as c_int);
    }
}

/// Gives freed memory of the host and of this thread's device back, which is kept for tensors to come: for others who take
/// memory, such as oneDNN for its kernels.
pub fn give_back() {
    ffi::delora_device_give_back();
}

/// Whether the CUDA devices of this process are stand-ins.
pub fn is_stand_in() -> bool {
    ffi::delora_device_is_stand_in()
}

/// Makes `cuda:0` a device of shapes with the memory of `gpu`: it computes nothing, and [`seconds`] is what `gpu` would
/// take. To be called before anything asks libtorch for a device, and without its CUDA library.
pub fn become_gpu(gpu: &Gpu) {
    GPU.set(gpu.name).expect("a process becomes one GPU");
    ffi::delora_device_become(&gpu.rates());
}

static GPU: OnceLock<&str> = OnceLock::new();

/// Seconds since some moment of this process; on a device of shapes those that its GPU would have needed.
pub fn seconds() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    match GPU.get() {
        Some(_) => ffi::delora_device_seconds(),
        None => START.get_or_init(Instant::now).elapsed().as_secs_f64(),
    }
}

/// What the following operators belong to, for the counts of a stand-in; elsewhere nothing.
pub fn region(name: &CStr) {
    #[expect(unsafe_code, reason = "the name ends with a zero, and is copied")]
    unsafe {
        ffi::delora_device_region(name.as_ptr());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_the_device_that_it_entered_and_the_cpu_has_no_memory_to_tell() {
        std::thread::spawn(|| {
            enter(Device::Cuda(3));
            assert_eq!(name(here()), "cuda:3");
        })
        .join()
        .unwrap();
        assert_eq!(here(), chosen()[0]);
        assert_eq!(memory(Device::Cpu), None);
        region(c"elsewhere");
    }
}
