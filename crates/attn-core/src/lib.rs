//! attn-core
