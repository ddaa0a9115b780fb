//! `[run]`: what the run is called and where it computes.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Invalid, within};

/// Most threads that can be asked for.
const MAX_THREADS: usize = 1024;
/// Longest name of a run.
const MAX_NAME: usize = 128;

/// What the run is called and where it computes: the `[run]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawRun", into = "RawRun")]
pub struct RunTable {
    name: String,
    seed: u64,
    device: Device,
    precision: Precision,
    threads: Option<usize>,
}

impl RunTable {
    /// Name of the run and of its folder, `[A-Za-z0-9._-]{1,128}`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seed of every random draw: initial weights, order of samples, dropout.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Where to compute.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Type of the factors of matrix products in training.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Threads to compute with; `None` leaves it to `RAYON_NUM_THREADS` or the machine.
    /// The result does not depend on it.
    pub fn threads(&self) -> Option<usize> {
        self.threads
    }
}

/// Where to compute: `cpu`, `cuda`, `cuda:1` or `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The processor.
    Cpu,
    /// The GPU of this number, from 0.
    Cuda(usize),
    /// A GPU if this build and this machine have one, else the processor.
    #[default]
    Auto,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let ordinal = name.strip_prefix("cuda:").map(str::parse);
        match (name, ordinal) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            ("auto", _) => Ok(Self::Auto),
            (_, Some(Ok(ordinal))) => Ok(Self::Cuda(ordinal)),
            _ => Err(format!(
                r#"device = "{name}" is unknown; use "cpu", "cuda", "cuda:1" or "auto""#
            )),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

impl JsonSchema for Device {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Device".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Where to compute: the processor, a GPU, or a GPU if there is one.",
            "type": "string",
            "pattern": "^(cpu|auto|cuda(:[0-9]+)?)$",
        })
    }
}

/// Type of the factors of matrix products in training. Sums, weights, gradients and
/// evaluations are `f32` throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// 16 bits (`bfloat16`), on a GPU, and where the processor has instructions for them
    /// (AVX512-BF16); else as `f32`, with a warning. Faster than `f32` on AMD's Zen 4 and later; slower on the
    /// Intel Xeon that was measured, whose AMX is not used.
    Bf16,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawRun {
    /// Name of the run; letters, digits, `.`, `_` and `-`. Names the folder `runs/NAME`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"))]
    name: String,
    /// Seed of every random draw: initial weights, order of samples, dropout.
    #[serde(default)]
    seed: u64,
    /// Where to compute.
    #[serde(default)]
    device: Device,
    /// Type of the factors of matrix products in training; sums, weights and evaluations are
    /// `f32` throughout.
    #[serde(default)]
    precision: Precision,
    /// Threads to compute with; as many as there are cores if absent. Does not change the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    threads: Option<usize>,
}

impl TryFrom<RawRun> for RunTable {
    type Error = Invalid;

    fn try_from(raw: RawRun) -> Result<Self, Invalid> {
        let RawRun {
            name,
            seed,
            device,
            precision,
            threads,
        } = raw;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty()
            || name.len() > MAX_NAME
            || name.starts_with('.')
            || !name.chars().all(allowed)
        {
            return Err(Invalid(format!(
                "name = {name:?} cannot name a folder; use up to {MAX_NAME} letters, digits, `_`, `-` and `.`, not `.` first"
            )));
        }
        within("seed", seed, 0..=i64::MAX as u64)?; // TOML's largest number
        if let Some(threads) = threads {
            within("threads", threads, 1..=MAX_THREADS)?;
        }
        Ok(Self {
            name,
            seed,
            device,
            precision,
            threads,
        })
    }
}

impl From<RunTable> for RawRun {
    fn from(table: RunTable) -> Self {
        let RunTable {
            name,
            seed,
            device,
            precision,
            threads,
        } = table;
        Self {
            name,
            seed,
            device,
            precision,
            threads,
        }
    }
}
