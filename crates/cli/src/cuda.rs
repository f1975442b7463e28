//! Loads libtorch's CUDA library at start-up, where there is one and a driver for it.
//!
//! The linker drops `libtorch_cuda.so`, since nothing refers to it by name: it registers itself with libtorch when
//! it is loaded. That has to happen before the first tensor, because libtorch asks once whether CUDA is there.

use std::path::Path;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use device::Gpu;

use crate::libtorch;

/// What came of loading the CUDA library. Anything but `Loaded` means that the CPU is used.
#[derive(Debug)]
pub enum Cuda {
    Loaded,
    /// This libtorch was built for CPU only.
    NoLibrary,
    /// No NVIDIA driver on this machine; the library was not touched.
    NoDriver,
    /// The library or one that it needs could not be loaded; the loader's words.
    Unloadable(String),
}

impl Cuda {
    /// Why no CUDA device is used, and what helps; none where one is.
    pub fn lack(&self) -> Option<(String, &'static str)> {
        if tch::Cuda::is_available() {
            return None;
        }
        Some(match self {
            Cuda::NoLibrary => ("libtorch_cuda.so is not part of this libtorch".to_owned(), FETCH),
            Cuda::NoDriver => (
                "no NVIDIA driver (libcuda.so.1)".to_owned(),
                "install NVIDIA's driver; it must support CUDA 13",
            ),
            Cuda::Unloadable(error) => {
                (format!("there is a driver, but libtorch_cuda.so cannot be loaded ({error})"), FETCH)
            }
            Cuda::Loaded => (
                "libtorch_cuda.so is loaded, but finds no usable device".to_owned(),
                "see nvidia-smi and CUDA_VISIBLE_DEVICES; the driver must support CUDA 13",
            ),
        })
    }
}

const FETCH: &str = "remove .tools/libtorch and run ./justw doctor, which fetches the CUDA libraries too";

/// Lets libtorch offer a device of shapes in place of `gpu`, instead of loading the CUDA library.
pub fn stand_in_for(gpu: &Gpu) -> Cuda {
    device::become_gpu(gpu);
    Cuda::Loaded
}

/// Loads the CUDA library. Costs next to nothing where there is no driver, and where tests have put stand-ins in its place.
pub fn load() -> Cuda {
    if device::is_stand_in() {
        return Cuda::Loaded;
    }
    let library = match libtorch::folder().map(|folder| folder.join("libtorch_cuda.so")) {
        Some(path) if path.exists() => path,
        _ => return Cuda::NoLibrary,
    };
    if open(Path::new("libcuda.so.1")).is_err() {
        return Cuda::NoDriver;
    }
    match open(&library) {
        Ok(()) => Cuda::Loaded,
        Err(error) => Cuda::Unloadable(format!("{error:#}")),
    }
}

/// Loads a library for good, with its symbols visible to all others.
fn open(path: &Path) -> anyhow::Result<()> {
    #[expect(
        unsafe_code,
        reason = "the initializers of NVIDIA's and PyTorch's libraries are trusted as the linked ones are"
    )]
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL)? };
    std::mem::forget(library); // closing it would leave dangling registrations in libtorch
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_cannot_be_loaded_is_an_error_in_words() {
        let folder = std::env::temp_dir().join(format!("delora-cuda-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("libtorch_cuda.so");
        std::fs::write(&path, b"not a library").unwrap();
        let error = open(&path).unwrap_err();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(format!("{error:#}").contains("libtorch_cuda.so"), "{error:#}");
        assert!(open(Path::new("libc.so.6")).is_ok());
    }

    #[test]
    fn what_was_loaded_agrees_with_what_libtorch_says() {
        let loaded = matches!(load(), Cuda::Loaded);
        assert!(loaded || !tch::Cuda::is_available(), "CUDA is available although nothing was loaded");
    }
}
