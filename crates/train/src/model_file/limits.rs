//! What is accepted of a file; a real model is far below each of them.

/// Bytes of the header.
pub const HEADER: u64 = 16 << 20;
/// Number of tensors.
pub const TENSORS: usize = 100_000;
/// Number of dimensions of a tensor.
pub const RANK: usize = 8;
/// Bytes of a tensor's name.
pub const NAME: usize = 512;
/// Number of files of one checkpoint; all of them are open at a time.
pub const SHARDS: usize = 512;
/// Bytes of the name of one of these files.
pub const FILE_NAME: usize = 255;
