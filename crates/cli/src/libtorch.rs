//! Which release of libtorch this process runs on.

use std::fs;
use std::path::Path;

/// The libtorch release that tch 0.24 is generated for.
pub const WANTED: &str = "2.11";

/// Version of the libtorch whose libraries are in `folder`, from the files that its packages put beside them.
pub fn version(folder: &Path) -> Option<String> {
    let root = folder.parent()?;
    if let Ok(text) = fs::read_to_string(root.join("build-version")) {
        return Some(text.trim().to_string());
    }
    if let Ok(text) = fs::read_to_string(root.join("version.py")) {
        return quoted_after(&text, "__version__ = '");
    }
    header_version(&fs::read_to_string(root.join("include/torch/headeronly/version.h")).ok()?)
}

fn quoted_after(text: &str, start: &str) -> Option<String> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once('\'').map(|(version, _)| version.to_string())
}

fn header_version(text: &str) -> Option<String> {
    let number = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("#define TORCH_VERSION_{name} ")))?;
        line.split_whitespace().nth(2)
    };
    Some(format!("{}.{}.{}", number("MAJOR")?, number("MINOR")?, number("PATCH")?))
}

/// Whether `version`, as in "2.11.0+cu130", is of the release that is wanted.
pub fn fits(version: &str) -> bool {
    version.strip_prefix(WANTED).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '+']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_comes_from_any_of_the_three_files() {
        let python = "from typing import Optional\n__version__ = '2.11.0+cu130'\ndebug = False\n";
        assert_eq!(quoted_after(python, "__version__ = '").as_deref(), Some("2.11.0+cu130"));
        let header = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n\
                      #define TORCH_VERSION_PATCH 3\n#define TORCH_VERSION \\\n";
        assert_eq!(header_version(header).as_deref(), Some("2.11.3"));
        assert_eq!(header_version("#define TORCH_VERSION_MAJOR 2\n"), None);
    }

    #[test]
    fn only_the_wanted_release_fits() {
        for version in ["2.11", "2.11.0", "2.11.1+cpu", "2.11+cu130"] {
            assert!(fits(version), "{version}");
        }
        for version in ["2.1.1", "2.110.0", "2.12.0", "", "12.11.0"] {
            assert!(!fits(version), "{version}");
        }
    }

    #[test]
    fn this_process_runs_on_the_wanted_libtorch() {
        tch::get_num_threads(); // links libtorch into the test
        let folder = device::libtorch_folder().expect("libtorch_cpu.so is mapped");
        assert!(fits(&version(&folder).expect("libtorch has a version file")));
    }
}
