//! Rows of a table of tokens, when the tokens change.

use std::collections::HashMap;

use data::text::Tokenizer;

/// For each token of `new`, its number in `old`, if `old` has a token that is written alike.
pub(super) fn known(old: &Tokenizer, new: &Tokenizer) -> Vec<Option<u32>> {
    let ids = |tokenizer: &Tokenizer| 0..u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX);
    let written: HashMap<String, u32> = ids(old)
        .filter_map(|id| Some((old.token(id)?, id)))
        .collect();
    let find = |id| written.get(&new.token(id)?).copied();
    ids(new).map(find).collect()
}

#[cfg(test)]
mod tests {
    use data::text::tokenizer::Unknown;

    use super::*;

    #[test]
    fn a_token_keeps_its_row_wherever_it_moves() {
        let old = Tokenizer::chars("abcd".chars(), Unknown::Refused);
        let new = Tokenizer::chars("bdxz".chars(), Unknown::Token);
        // `[UNK]` b d x z
        assert_eq!(known(&old, &new), [None, Some(1), Some(3), None, None]);
        let same: Vec<_> = (0..4).map(Some).collect();
        assert_eq!(known(&old, &old), same);
    }
}
