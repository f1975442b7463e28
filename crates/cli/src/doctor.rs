//! What `delora doctor` looks at: compiler, libtorch, CUDA, processor, memory, disk, models.

mod models;

use device::Cuda;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use tch::{Device, Kind, Tensor};

use crate::libtorch;

const GIB: u64 = 1 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Ok,
    /// Works, but slowly or not for everything.
    Warn,
    /// Something the experiments need is wrong.
    Fail,
}

/// One line of the report.
#[derive(Debug)]
pub struct Finding {
    pub level: Level,
    pub subject: &'static str,
    pub found: String,
    /// What to do about it; empty when all is well.
    pub remedy: String,
}

impl Finding {
    fn ok(subject: &'static str, found: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, subject, found: found.into(), remedy: String::new() }
    }

    fn warn(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { level: Level::Warn, subject, found: found.into(), remedy: remedy.into() }
    }

    fn fail(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { level: Level::Fail, subject, found: found.into(), remedy: remedy.into() }
    }
}

/// Looks at everything. `assets` is the folder of the pretrained models.
pub fn examine(cuda: &Cuda, assets: &Path) -> Vec<Finding> {
    let mut findings = vec![build(), torch()];
    findings.extend(accelerator(cuda));
    findings.push(processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()));
    findings.push(memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()));
    findings.push(disk(free_disk_bytes()));
    findings.extend(models::examine(assets));
    findings
}

fn build() -> Finding {
    let found = format!(
        "delora {}, {} build by {} for {}",
        env!("CARGO_PKG_VERSION"),
        env!("DELORA_PROFILE"),
        env!("DELORA_RUSTC"),
        env!("DELORA_TARGET")
    );
    Finding::ok("build", found)
}

fn torch() -> Finding {
    let wanted = libtorch::WANTED;
    let Some(folder) = device::libtorch_folder() else {
        return Finding::warn(
            "libtorch",
            "loaded, but not found in the memory map",
            "needs /proc, as on Linux",
        );
    };
    let place = folder.display();
    match libtorch::version(&folder) {
        Some(version) if libtorch::fits(&version) => {
            Finding::ok("libtorch", format!("{version} (wanted: {wanted}), from {place}"))
        }
        Some(version) => Finding::fail(
            "libtorch",
            format!("{version}, but {wanted} is wanted, from {place}"),
            "unset LIBTORCH and LD_LIBRARY_PATH and run ./justw doctor, which fetches the right one",
        ),
        None => Finding::warn(
            "libtorch",
            format!("of unknown version (wanted: {wanted}), from {place}"),
            "it has no build-version, version.py or version.h beside it; ./justw doctor uses one that has",
        ),
    }
}

/// One line for the CUDA library, and one for each device after a real computation on it.
fn accelerator(cuda: &Cuda) -> Vec<Finding> {
    let line = match (cuda, cuda.lack()) {
        (_, None) => {
            Finding::ok("cuda", format!("libtorch_cuda.so is loaded, devices: {}", tch::Cuda::device_count()))
        }
        (Cuda::NoLibrary | Cuda::NoDriver, Some((problem, _))) => {
            Finding::ok("cuda", format!("{problem}; the CPU is used"))
        }
        (_, Some((problem, remedy))) => Finding::warn("cuda", format!("{problem}; the CPU is used"), remedy),
    };
    let mut findings = vec![line];
    if tch::Cuda::is_available() {
        let names = device_names();
        for index in 0..tch::Cuda::device_count().max(0) as usize {
            findings.push(device(index, names.get(index).map_or("", String::as_str)));
        }
    }
    findings
}

fn device(index: usize, name: &str) -> Finding {
    match compute(Device::Cuda(index)) {
        Ok(()) => Finding::ok("device", format!("cuda:{index} {name} multiplies in f32 and bf16")),
        Err(error) => Finding::fail(
            "device",
            format!("cuda:{index} {name} does not compute: {error:#}"),
            "leave it out with CUDA_VISIBLE_DEVICES, or update the driver",
        ),
    }
}

/// Multiplies two small matrices in both kinds that training uses.
fn compute(device: Device) -> anyhow::Result<()> {
    for kind in [Kind::Float, Kind::BFloat16] {
        let ones = Tensor::f_ones([8, 8], (kind, device))?;
        let sum = ones.f_matmul(&ones)?.f_sum(Kind::Float)?.f_double_value(&[])?;
        ensure!(sum == 512.0, "in {kind:?} the sum of a product is {sum} and should be 512");
    }
    Ok(())
}

/// Names in the driver's order, which is CUDA's unless CUDA_VISIBLE_DEVICES reorders; empty without nvidia-smi.
fn device_names() -> Vec<String> {
    let output = Command::new("nvidia-smi").args(["--query-gpu=name", "--format=csv,noheader"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().map(|line| format!("({})", line.trim())).collect()
}

fn processor(cpuinfo: &str) -> Finding {
    let value = |key: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, value)| value.trim())
    };
    let flags: Vec<&str> = value("flags").unwrap_or_default().split_whitespace().collect();
    let wide = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"];
    let has: Vec<&str> = wide.into_iter().filter(|flag| flags.contains(flag)).collect();
    let found = format!(
        "{}, {} torch threads, vector units: {}",
        value("model name").unwrap_or("unknown processor"),
        tch::get_num_threads(),
        if has.is_empty() { "none known".to_string() } else { has.join(" ") }
    );
    if let Err(error) = compute(Device::Cpu) {
        return Finding::fail(
            "cpu",
            format!("{found}; a small product fails: {error:#}"),
            "libtorch is damaged",
        );
    }
    if !flags.is_empty() && !flags.contains(&"avx2") {
        return Finding::warn("cpu", found, "without avx2 expect several times the stated durations");
    }
    Finding::ok("cpu", found)
}

fn memory(meminfo: &str) -> Finding {
    let kilobytes = |key: &str| {
        let line = meminfo.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let (Some(available), Some(total)) = (kilobytes("MemAvailable:"), kilobytes("MemTotal:")) else {
        return Finding::warn("memory", "unknown", "needs /proc/meminfo, as on Linux");
    };
    let found = format!("{} available of {}", size(available * 1024), size(total * 1024));
    if available * 1024 < 8 * GIB {
        return Finding::warn(
            "memory",
            found,
            "the tables at scale mini may use up to 8 GiB; close other programs",
        );
    }
    Finding::ok("memory", found)
}

fn free_disk_bytes() -> Option<u64> {
    let output = Command::new("df").args(["-Pk", "."]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

fn disk(free_bytes: Option<u64>) -> Finding {
    match free_bytes {
        None => Finding::warn("disk", "free space unknown", "df does not answer for this folder"),
        Some(free) if free < GIB => Finding::fail(
            "disk",
            format!("{} free in this folder", size(free)),
            "results and checkpoints need at least 1 GiB; free some space",
        ),
        Some(free) if free < 4 * GIB => Finding::warn(
            "disk",
            format!("{} free in this folder", size(free)),
            "enough for results, but a build from scratch needs about 4 GiB",
        ),
        Some(free) => Finding::ok("disk", format!("{} free in this folder", size(free))),
    }
}

/// `bytes` for reading, as in "1.5 GiB".
fn size(bytes: u64) -> String {
    let (unit, name) = [(GIB, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit)
        .unwrap_or((1, "bytes"));
    if unit == 1 { format!("{bytes} bytes") } else { format!("{:.1} {name}", bytes as f64 / unit as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_warns_and_enough_does_not() {
        let text =
            |available: u64| format!("MemTotal: 33554432 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n");
        assert_eq!(memory(&text(4 << 20)).level, Level::Warn);
        let found = memory(&text(9 << 20));
        assert_eq!((found.level, found.found.as_str()), (Level::Ok, "9.0 GiB available of 32.0 GiB"));
        assert_eq!(memory("").level, Level::Warn);
    }

    #[test]
    fn disk_fails_below_one_gigabyte_and_warns_below_four() {
        let levels: Vec<Level> =
            [None, Some(GIB - 1), Some(2 * GIB), Some(5 * GIB)].map(|free| disk(free).level).to_vec();
        assert_eq!(levels, [Level::Warn, Level::Fail, Level::Warn, Level::Ok]);
        assert!(free_disk_bytes().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn a_processor_without_wide_vectors_warns() {
        let text = |flags: &str| format!("processor : 0\nmodel name : Some CPU\nflags : fpu sse2 {flags}\n");
        assert_eq!(processor(&text("")).level, Level::Warn);
        let found = processor(&text("avx2 avx512f amx_bf16 amx_tile"));
        assert_eq!(found.level, Level::Ok);
        assert!(found.found.starts_with("Some CPU"), "{found:?}");
        assert!(found.found.ends_with("avx2 avx512f amx_bf16"), "{found:?}");
    }

    #[test]
    fn an_unloadable_cuda_library_warns_and_none_at_all_does_not() {
        let unloadable = Cuda::Unloadable("libcudnn.so.9: no such file".into());
        assert_eq!(accelerator(&unloadable)[0].level, Level::Warn);
        assert_eq!(accelerator(&Cuda::NoLibrary)[0].level, Level::Ok);
        assert_eq!(accelerator(&Cuda::NoDriver)[0].level, Level::Ok);
    }

    #[test]
    fn a_product_on_the_cpu_is_right_in_both_kinds() {
        compute(Device::Cpu).unwrap();
    }

    #[test]
    fn sizes_are_read_in_their_unit() {
        let sizes = [0, 1536, 3 << 20, 5 * GIB / 2].map(size);
        assert_eq!(sizes, ["0 bytes", "1.5 KiB", "3.0 MiB", "2.5 GiB"]);
    }
}
