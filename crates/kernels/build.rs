//! Compiles the GPU kernels, with the feature `cuda`: machine code for the devices that most
//! train on, and PTX, which a driver compiles for anything newer.

use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

const KERNELS: &str = "src/cuda/kernels.cu";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    watch(Path::new("src")).expect("the sources can be listed");
    println!("cargo::rerun-if-env-changed=NVCC");
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    let nvcc = env::var("NVCC").unwrap_or_else(|_| match env::var("CUDA_HOME") {
        Ok(home) => format!("{home}/bin/nvcc"),
        Err(_) => "nvcc".into(),
    });
    let out = env::var("OUT_DIR").expect("cargo names it");
    let status = Command::new(&nvcc)
        .args(["--fatbin", "-O3", "-std=c++17"])
        .arg("-gencode=arch=compute_80,code=compute_80")
        .arg("-gencode=arch=compute_90a,code=sm_90a")
        .args(["-o", &format!("{out}/kernels.fatbin"), KERNELS])
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("{nvcc} could not compile {KERNELS}: {status}"),
        Err(error) => panic!(
            "feature `cuda` needs CUDA's compiler, and {nvcc} does not start: {error}; set NVCC or CUDA_HOME"
        ),
    }
}

/// Has cargo run this again when a kernel under `folder` changes.
fn watch(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            watch(&path)?;
        } else if path
            .extension()
            .is_some_and(|end| end == "cu" || end == "cuh")
        {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    Ok(())
}
