//! Why a file is no safetensors file that is read.

use super::limits;

/// Why a file is not a sound safetensors file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each variant's message says what its fields are"
)]
pub enum Defect {
    #[error("not a regular file")]
    NotAFile,
    #[error("{bytes} bytes are too few for a header")]
    TooShort { bytes: u64 },
    #[error("the header claims {header} bytes of a file of {bytes}")]
    HeaderPastEnd { header: u64, bytes: u64 },
    #[error(
        "the header claims {header} bytes, more than the {} that are accepted",
        limits::HEADER
    )]
    HeaderTooLong { header: u64 },
    #[error("the header is not valid: {0}")]
    Header(String),
    #[error("tensor `{tensor}` has the unknown element type `{dtype}`")]
    UnknownDtype { tensor: String, dtype: String },
    #[error("tensor `{tensor}` of shape {shape:?} is larger than any file")]
    Overflow { tensor: String, shape: Vec<u64> },
    #[error("tensor `{tensor}` of {expected} bytes has the range {start}..{end}")]
    Range {
        tensor: String,
        expected: u64,
        start: u64,
        end: u64,
    },
    #[error("tensor `{tensor}` begins at byte {start} of the data instead of {expected}")]
    NotContiguous {
        tensor: String,
        start: u64,
        expected: u64,
    },
    #[error("the tensors fill {tensors} bytes of {data} bytes of data")]
    Length { tensors: u64, data: u64 },
}
