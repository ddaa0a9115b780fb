//! What a language model keeps of the text so far.

use attn_core::KvCache;

/// What was read of one text, for [`CausalLm::decode`](super::CausalLm::decode).
#[derive(Debug)]
pub struct Cache(pub(super) Kept);

#[derive(Debug)]
pub(super) enum Kept {
    /// Keys and values of every block of attention.
    Attention(KvCache),
    /// The tokens: other layers read them again.
    Tokens(Vec<u32>),
}

impl Cache {
    /// Forgets the text.
    pub fn clear(&mut self) {
        match &mut self.0 {
            Kept::Attention(cache) => cache.clear(),
            Kept::Tokens(tokens) => tokens.clear(),
        }
    }
}
