//! Which devices this process computes on, and what libtorch says of them.
//!
//! [`choose`] takes what a user writes after `--devices`. Each worker calls [`enter`] with one of [`chosen`] first;
//! whatever it loads afterwards asks [`here`]. A process that never chooses computes on the first CUDA device, or on the
//! CPU where there is none.

mod list;

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use tch::Device;

pub use list::{DevicesError, Machine, parse};

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
    /// The most that they held.
    pub peak: u64,
}

#[expect(unsafe_code, reason = "functions of src/libtorch.cpp, which catch what libtorch throws")]
mod ffi {
    use super::{c_char, c_int};

    unsafe extern "C" {
        pub safe fn delora_device_memory(device: c_int, bytes: &mut [i64; 2]) -> bool;
        pub fn delora_device_region(name: *const c_char);
    }
}

/// The memory of a CUDA device; none of the CPU, and where libtorch does not say.
pub fn memory(device: Device) -> Option<Memory> {
    let Device::Cuda(index) = device else { return None };
    let mut bytes = [0; 2];
    ffi::delora_device_memory(index as c_int, &mut bytes).then(|| {
        let [held, peak] = bytes.map(|bytes| bytes as u64);
        Memory { held, peak }
    })
}

/// What the following operators belong to, for the counts of `tools/stand-in-cuda`; elsewhere nothing.
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
