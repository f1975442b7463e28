//! Compiles the C++ files of `src`: kernels once for each instruction set, and what calls them against libtorch.

use std::path::PathBuf;

/// Name of an instruction set, and the compiler's options for it.
const SETS: [(&str, &[&str]); 2] = [
    ("avx2", &["-mavx2", "-mfma"]),
    (
        "avx512",
        &[
            "-mavx512f",
            "-mavx512bw",
            "-mavx512dq",
            "-mavx512vl",
            "-mavx2",
            "-mfma",
            "-mprefer-vector-width=512",
        ],
    ),
];

fn main() {
    println!("cargo:rerun-if-changed=src");
    let libraries = PathBuf::from(
        std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch's libraries are"),
    );
    let is_x86 = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|architecture| architecture == "x86_64");
    if is_x86 {
        for (name, options) in SETS {
            let mut build = cc::Build::new();
            build.cpp(true).std("c++17").file("src/kernels.cpp").define("SET", name).opt_level(3);
            build.flag("-fno-math-errno"); // roots in vectors
            options.iter().for_each(|option| {
                build.flag(option);
            });
            build.compile(&format!("delora_fused_{name}"));
        }
    }
    let include = libraries.with_file_name("include");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        .files(["src/functions.cpp", "src/adapters.cpp"])
        .flag("-fopenmp") // libtorch's parallel_for is a template
        .warnings(false);
    if is_x86 {
        build.define("HAS_KERNELS", None);
    }
    build.compile("delora_fused");
    // The one that libtorch computes with.
    println!("cargo:rustc-link-search=native={}", libraries.display());
    println!("cargo:rustc-link-arg=-l:libgomp.so.1");
}
