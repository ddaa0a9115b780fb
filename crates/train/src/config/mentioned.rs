//! The names in a message, by which its key is found in the document.

/// The names of keys in the message of a check: words before ` = ` and words in backticks.
pub(super) fn mentioned(message: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let before_equals = message.match_indices(" = ").map(|(at, _)| {
        let head = &message[..at];
        &head[head.rfind(|c| !is_name(c)).map_or(0, |i| i + 1)..]
    });
    let mut names: Vec<String> = Vec::new();
    for name in before_equals.chain(quoted(message)) {
        if !name.is_empty() && name.chars().all(is_name) && !names.iter().any(|n| n == name) {
            names.push(name.into());
        }
    }
    names
}

/// The words of `message` in backticks.
pub(super) fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}
