//! Tells the binary which compiler built it, and where it finds libtorch when LD_LIBRARY_PATH is not set.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    let rustc = env::var("RUSTC").expect("cargo sets RUSTC");
    let version = Command::new(rustc).arg("--version").output().expect("rustc runs, since it builds this");
    println!("cargo::rustc-env=DELORA_RUSTC={}", String::from_utf8_lossy(&version.stdout).trim());
    for (name, variable) in [("TARGET", "DELORA_TARGET"), ("PROFILE", "DELORA_PROFILE")] {
        println!("cargo::rustc-env={variable}={}", env::var(name).expect("cargo sets it for build scripts"));
    }
    if let Ok(libtorch) = env::var("LIBTORCH")
        && env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux")
    {
        println!("cargo::rustc-link-arg-bins=-Wl,-rpath,{libtorch}/lib");
    }
}
