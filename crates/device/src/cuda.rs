//! Loads libtorch's CUDA library, where there is one and a driver for it.
//!
//! The linker drops `libtorch_cuda.so`, since nothing refers to it by name: it registers itself with libtorch when
//! it is loaded. That has to happen before the first tensor, because libtorch asks once whether CUDA is there. So it happens
//! whenever a device is asked for, in any program.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

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

/// Loads the CUDA library, once. Costs next to nothing where there is no driver, and where there are stand-ins in its place.
pub fn load_cuda() -> &'static Cuda {
    static CUDA: OnceLock<Cuda> = OnceLock::new();
    CUDA.get_or_init(load)
}

fn load() -> Cuda {
    if crate::is_stand_in() {
        return Cuda::Loaded;
    }
    let library = match libtorch_folder().map(|folder| folder.join("libtorch_cuda.so")) {
        Some(path) if path.exists() => path,
        _ => return Cuda::NoLibrary,
    };
    if open(Path::new("libcuda.so.1")).is_err() {
        return Cuda::NoDriver;
    }
    match open(&library) {
        Ok(()) => Cuda::Loaded,
        Err(error) => Cuda::Unloadable(error.to_string()),
    }
}

/// Folder of the loaded `libtorch_cpu.so`, read off the memory map of this process.
pub fn libtorch_folder() -> Option<PathBuf> {
    mapped_folder(&fs::read_to_string("/proc/self/maps").ok()?, "libtorch_cpu.so")
}

/// Folder of the first mapped file named `library`, in the format of `/proc/<pid>/maps`.
fn mapped_folder(maps: &str, library: &str) -> Option<PathBuf> {
    let path = maps.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])));
    let mut found = path.filter(|path| path.file_name().is_some_and(|name| name == library));
    found.next()?.parent().map(Path::to_path_buf)
}

/// Loads a library for good, with its symbols visible to all others.
fn open(path: &Path) -> Result<(), libloading::Error> {
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
        assert!(format!("{error:?}").contains("libtorch_cuda.so"), "{error:?}");
        assert!(open(Path::new("libc.so.6")).is_ok());
    }

    #[test]
    fn what_was_loaded_agrees_with_what_libtorch_says() {
        let loaded = matches!(load_cuda(), Cuda::Loaded);
        assert!(loaded || !tch::Cuda::is_available(), "CUDA is available although nothing was loaded");
    }

    #[test]
    fn the_folder_is_that_of_the_mapped_library() {
        let maps = "7f00-7f01 r--p 00000000 fe:00 12   /usr/lib/libc.so.6\n\
                    7f02-7f03 r--p 00000000 fe:00 13   /opt/my torch/lib/libtorch_cpu.so\n\
                    7f04-7f05 rw-p 00000000 00:00 0";
        assert_eq!(mapped_folder(maps, "libtorch_cpu.so"), Some(PathBuf::from("/opt/my torch/lib")));
        assert_eq!(mapped_folder(maps, "libtorch.so"), None);
    }
}
