//! Compiles the C++ files of `src` against the libtorch that torch-sys has found.

use std::path::PathBuf;

fn main() {
    let sources = ["src/libtorch.cpp", "src/stand_in.cpp"];
    for file in sources.iter().chain(&["src/stand_in.h"]) {
        println!("cargo:rerun-if-changed={file}");
    }
    let libraries =
        std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch's libraries are");
    let include = PathBuf::from(libraries).with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        .files(sources)
        .warnings(false)
        .compile("delora_device");
}
