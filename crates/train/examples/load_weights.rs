//! How fast weights are read, and in how much memory.
//!
//! `load_weights write PATH MB N` makes a file of `N` tensors, so many megabytes together;
//! `load_weights read PATH` reads all of it and says what that took.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use candle_core::Device;
use train::model_file::{ModelFile, NamedTensor, write_model_file};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", path, megabytes, n] => write(Path::new(path), megabytes.parse()?, n.parse()?),
        ["read", path] => read(Path::new(path)),
        _ => Err("usage: load_weights write PATH MB N | read PATH".into()),
    }
}

fn write(path: &Path, megabytes: usize, n: usize) -> Result<(), Box<dyn Error>> {
    let values: Vec<f32> = (0..megabytes * 250_000 / n.max(1))
        .map(|i| i as f32)
        .collect();
    let tensors: Vec<NamedTensor<'_>> = (0..n)
        .map(|i| NamedTensor::slice(format!("blocks.{i}.weight"), vec![values.len()], &values))
        .collect();
    Ok(write_model_file(path, &BTreeMap::new(), &tensors)?)
}

fn read(path: &Path) -> Result<(), Box<dyn Error>> {
    let before = peak_bytes();
    let start = Instant::now();
    let tensors = ModelFile::open(path)?.read_all(&Device::Cpu)?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} tensors, {seconds:.3} s, {:.1} MB of memory",
        tensors.len(),
        (peak_bytes() - before) as f64 / 1e6
    );
    Ok(())
}

/// The most memory that this process has had at a time.
fn peak_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
