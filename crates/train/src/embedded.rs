//! The text compiled into the program, which `path = "embedded"` stands for: sources
//! and documents of this workspace.

/// Prose and code, one file after the other.
pub const TEXT: &str = concat!(
    include_str!("../../attn-core/src/mask/mod.rs"),
    include_str!("../../attn-core/src/mask/pattern.rs"),
    include_str!("../../attn-core/src/store/mod.rs"),
);
