//! What a trial costs, as far as all drivers measure it alike.

use delora_core::{PartShape, Site, TrialConfig, find_method};
use runner::Estimate;

/// Bytes of what the trial trains at `sites`, its head too; 0 where its settings are wrong, which the check of the trial
/// says. A count never wraps: what is beyond it is the largest.
pub fn trained_bytes(sites: &[Site], trial: &TrialConfig, bytes_per_parameter: u64) -> u64 {
    u64::try_from(trained_parameters(sites, trial)).unwrap_or(0).saturating_mul(bytes_per_parameter)
}

fn trained_parameters(sites: &[Site], trial: &TrialConfig) -> i64 {
    let Ok(method) = find_method(&trial.method.name) else { return 0 };
    let settings = &trial.method.settings;
    let count = |site: &Site| -> Option<i64> {
        let shape = site.shape()?;
        if let PartShape::TaskTensor(sizes) = &shape.part {
            return Some(sizes.iter().product());
        }
        method.variant(settings, &shape, trial.targets.as_deref()).ok()??;
        method.check(settings, &shape).ok()?;
        method.num_parameters(settings, &shape).ok()
    };
    sites.iter().filter_map(count).fold(0, i64::saturating_add)
}

/// What a row or token of a frozen network costs in a full pass.
#[derive(Clone, Copy)]
pub struct PassCost {
    pub seconds: f64,
    /// What training keeps of it.
    pub memory_bytes: u64,
}

impl PassCost {
    /// Measures a forward pass of `count` of them, which has to wait for the device.
    pub fn measured(count: i64, memory_bytes: u64, pass: impl Fn()) -> PassCost {
        pass();
        PassCost { seconds: fastest_of_three(pass) / count as f64, memory_bytes }
    }

    /// The cost of a trial that passes `passed` of them in all and `at_once` in a step.
    pub fn estimate(self, passed: f64, at_once: f64, trained_bytes: u64, frozen_bytes: u64) -> Estimate {
        let kept = (self.memory_bytes as f64 * at_once) as u64;
        let memory_bytes = kept.saturating_add(trained_bytes);
        Estimate { seconds: self.seconds * passed, memory_bytes, trained_bytes, frozen_bytes }
    }
}

/// Seconds of the fastest of three: the speed of a machine without other work.
pub fn fastest_of_three(work: impl Fn()) -> f64 {
    (0..3).map(|_| seconds_of(&work)).fold(f64::INFINITY, f64::min)
}

/// Seconds that `work` takes once.
pub fn seconds_of(work: impl FnOnce()) -> f64 {
    let started = device::seconds();
    work();
    device::seconds() - started
}

/// Bytes that tensors hold on this thread's device; of a CPU, what the process has, from the kernel; `None` where nobody
/// says.
pub fn resident_bytes() -> Option<u64> {
    device::memory(device::here()).map(|memory| memory.held).or_else(|| status_bytes("VmRSS:"))
}

/// Lets [`peak_resident_bytes`] count from now on, and gives [`resident_bytes`]. On a CPU memory that was freed goes back to the
/// system first. `None` where nobody says.
pub fn fresh_peak() -> Option<u64> {
    device::forget_peak(device::here());
    if !device::here().is_cuda() {
        give_back_freed_memory();
        std::fs::write("/proc/self/clear_refs", "5").ok()?;
    }
    resident_bytes()
}

#[allow(unsafe_code)] // one call of the C library
fn give_back_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it only gives free pages of the allocator back.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The most that [`resident_bytes`] has been until now.
pub fn peak_resident_bytes() -> Option<u64> {
    device::memory(device::here()).map(|memory| memory.peak).or_else(|| status_bytes("VmHWM:"))
}

fn status_bytes(field: &str) -> Option<u64> {
    bytes_of("/proc/self/status", field)
}

/// Bytes of this computer's memory that programs may still take.
pub fn free_bytes() -> Option<u64> {
    bytes_of("/proc/meminfo", "MemAvailable:")
}

fn bytes_of(file: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(1024 * kibibytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_a_peak_of_it() {
        for bytes in [resident_bytes(), peak_resident_bytes()] {
            assert!(bytes.is_some_and(|bytes| (1 << 20..1 << 40).contains(&bytes)), "{bytes:?}");
        }
        let before = fresh_peak().unwrap();
        let large = tch::Tensor::ones([1 << 24], (tch::Kind::Float, device::here()));
        drop(large);
        let taken = peak_resident_bytes().unwrap() - before;
        assert!((60 << 20..200 << 20).contains(&taken), "{taken} of a tensor of 64 MiB");
        assert_eq!(status_bytes("no such field:"), None);
        assert!(free_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
