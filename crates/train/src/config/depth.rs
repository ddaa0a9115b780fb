//! A bound on nesting, checked before parsing.
//!
//! The parser bounds brackets, but a dotted key of a megabyte would make as many
//! tables inside each other, and dropping them would overflow the stack.

/// Most dots in one key.
const MAX_DOTS: usize = 16;

/// The offset at which a key has more than [`MAX_DOTS`] dots, if one has.
///
/// Strings and comments are skipped; a value outside them has one dot at most.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut i, mut dots) = (0, 0);
    while i < bytes.len() {
        match bytes[i] {
            b'#' => i = end_of_line(bytes, i),
            b'"' | b'\'' => i = end_of_string(bytes, i),
            b'.' if dots == MAX_DOTS => return Some(i),
            byte => {
                match byte {
                    b'.' => dots += 1,
                    b'\n' | b'=' | b',' | b'{' | b'[' => dots = 0,
                    _ => {}
                }
                i += 1;
            }
        }
    }
    None
}

fn end_of_line(bytes: &[u8], start: usize) -> usize {
    start
        + bytes[start..]
            .iter()
            .position(|&b| b == b'\n')
            .unwrap_or(bytes.len() - start)
}

/// The offset after the string that opens at `start`, or after what of it there is.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let long = bytes[start..].starts_with(&[quote; 3]);
    let close: &[u8] = if long { &[quote; 3] } else { &[quote] };
    let mut i = start + close.len();
    while i < bytes.len() && !bytes[i..].starts_with(close) {
        match bytes[i] {
            b'\n' if !long => return i,
            b'\\' if quote == b'"' && bytes.get(i + 1) != Some(&b'\n') => i += 2,
            _ => i += 1,
        }
    }
    (i + close.len()).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_have_a_few_dots() {
        assert_eq!(too_deep("[a.b.c]\nd.e.f = 1.5\n"), None);
    }

    #[test]
    fn strings_and_comments_may_have_many() {
        let dots = ".".repeat(100);
        for text in [
            format!("# {dots}\na = 1"),
            format!("a = \"\\\"{dots}\""),
            format!("a = '{dots}'\n\"{dots}\" = 1"),
            format!("a = \"\"\"\n\"{dots}\n\"\"\""),
            format!("a = '''{dots}\n'''"),
        ] {
            assert_eq!(too_deep(&text), None, "{text}");
        }
    }

    #[test]
    fn a_chain_of_keys_is_refused_wherever_it_stands() {
        let chain = "a.".repeat(500_000);
        for text in [
            format!("{chain}a = 1"),
            format!("[{chain}a]"),
            format!("x = {{ {chain}a = 1 }}"),
            format!("x = \"open\n{chain}a = 1"),
            format!("x = \"open\\\n{chain}a = 1"),
        ] {
            assert!(too_deep(&text).is_some(), "{}", &text[..20]);
        }
    }
}
