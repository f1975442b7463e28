//! Compiles `src/libtorch.cpp` against the libtorch that torch-sys has found.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=src/libtorch.cpp");
    let libraries =
        std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch's libraries are");
    let include = PathBuf::from(libraries).with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        .file("src/libtorch.cpp")
        .warnings(false)
        .compile("delora_device");
}
