//! Turns what the parser and the checks say into "what; remedy".

use strsim::damerau_levenshtein;

use super::locate::Found;
use super::mentioned::{mentioned, quoted};

/// Names of other programs' options, with ours.
const SYNONYMS: [(&str, &str); 18] = [
    ("n_embd", "d_model"),
    ("hidden_size", "d_model"),
    ("dim", "d_model"),
    ("n_layer", "n_layers"),
    ("num_layers", "n_layers"),
    ("num_hidden_layers", "n_layers"),
    ("n_head", "n_heads"),
    ("num_heads", "n_heads"),
    ("num_attention_heads", "n_heads"),
    ("intermediate_size", "d_ff"),
    ("block_size", "max_seq_len"),
    ("context_length", "max_seq_len"),
    ("learning_rate", "lr"),
    ("max_iters", "steps"),
    ("max_steps", "steps"),
    ("warmup_iters", "warmup_steps"),
    ("gradient_accumulation_steps", "accumulate"),
    ("label_smoothing_factor", "label_smoothing"),
];

/// The candidate that a person who wrote `word` most likely meant.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let wanted = plain(&word.chars().take(64).collect::<String>());
    let synonym = SYNONYMS
        .iter()
        .find(|(other, _)| *other == wanted)
        .map(|(_, ours)| *ours);
    let within = (wanted.chars().count() / 3).max(1);
    let distance = |name: &str| {
        let plain = plain(name);
        let begins = wanted.len() >= 4 && plain.starts_with(&wanted);
        let continues = plain.len() >= 4 && wanted.starts_with(&plain);
        match () {
            () if synonym == Some(name) => 0,
            () if begins || continues => 1,
            () => damerau_levenshtein(&wanted, &plain),
        }
    };
    candidates
        .into_iter()
        .map(|name| (distance(name), name))
        .filter(|(distance, _)| *distance <= within)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// What the parser says about the syntax of a file, and a remedy.
pub(super) fn syntax(message: &str) -> (String, String) {
    let remedy = match message {
        m if m.contains("duplicate key") => "keep one of the two",
        m if m.contains("must be quoted") => "put the text in double quotes",
        m if m.contains("recursion limit") => "nest less deeply",
        _ => "write `[table]`, `key = value` or `# comment`",
    };
    (message.trim_end().to_owned(), remedy.into())
}

/// What a check or the deserialiser says about the document, and a remedy.
pub(super) fn refusal(message: &str, found: &Found) -> (String, String) {
    let names = quoted(message);
    let (name, others) = names
        .split_first()
        .map_or(("", &[][..]), |(name, others)| (*name, others));
    let key = found.path.join(".");
    if message.starts_with("unknown field") {
        return unknown_key(name, others, found);
    }
    // What `toml` says of a key in the table of an enum's variant.
    if let Some(names) = message.strip_prefix("unexpected keys in table: ") {
        let (unknown, known) = names
            .split_once(", available keys: ")
            .unwrap_or((names, ""));
        let name = unknown.split(", ").next().unwrap_or(unknown);
        return unknown_key(name, &known.split(", ").collect::<Vec<_>>(), found);
    }
    if message.starts_with("unknown variant") {
        return (
            format!("`{key}` cannot be \"{name}\""),
            suggestion(name, others, TEXT),
        );
    }
    if message.starts_with("missing field") {
        return match key.as_str() {
            "" => (
                format!("the table [{name}] is missing"),
                format!("add a [{name}] table"),
            ),
            table => (
                format!("the key `{name}` is missing in [{table}]"),
                format!("add `{name} = …`"),
            ),
        };
    }
    if let Some(error) = mistyped(message, &key) {
        return error;
    }
    if let Some((what, remedy)) = message.rsplit_once("; ") {
        return (what.into(), remedy.into());
    }
    let remedy = match mentioned(message).as_slice() {
        [] => "change the value".into(),
        keys => format!("change {}", list(keys, KEY, "or")),
    };
    (message.into(), remedy)
}

fn unknown_key(name: &str, known: &[&str], found: &Found) -> (String, String) {
    match found.path.split_last() {
        Some((_, [])) | None => (
            format!("unknown table [{name}]"),
            suggestion(name, known, TABLE),
        ),
        Some((_, tables)) => {
            let what = format!("unknown key `{name}` in [{}]", tables.join("."));
            (what, suggestion(name, known, KEY))
        }
    }
}

/// What goes around a name.
type Quotes = (char, char);
const KEY: Quotes = ('`', '`');
const TABLE: Quotes = ('[', ']');
const TEXT: Quotes = ('"', '"');

fn suggestion(name: &str, known: &[&str], quotes: Quotes) -> String {
    match closest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean {}?", quoted_as(meant, quotes)),
        None if known.is_empty() => "remove it".into(),
        None => format!("known: {}", list(known, quotes, "and")),
    }
}

/// `invalid type: integer `5`, expected a string` and its like.
fn mistyped(message: &str, key: &str) -> Option<(String, String)> {
    let rest = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let text = found
        .strip_prefix("string \"")
        .and_then(|text| text.strip_suffix('"'));
    let found = match (text, quoted(found).first()) {
        (Some(text), _) => format!("the text \"{text}\""),
        (None, Some(value)) => (*value).to_owned(),
        (None, None) => match found {
            "map" => "a table".into(),
            "sequence" => "an array".into(),
            other => other.into(),
        },
    };
    let expected = match expected.trim_end() {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number, 0 or more",
        "a nonzero usize" | "a nonzero u64" | "a nonzero u32" => "a whole number, 1 or more",
        "i64" | "i32" => "a whole number",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        table if table.starts_with("struct ") || table == "a map" => "a table",
        other => other,
    };
    let remedy = match text {
        Some(text) if text.parse::<f64>().is_ok() || text.parse::<bool>().is_ok() => {
            "remove the quotes".into()
        }
        None if expected == "a string" => "put it in double quotes".into(),
        _ => format!("write {expected}"),
    };
    Some((format!("`{key}` is {found}, not {expected}"), remedy))
}

/// `a`, `b` or `c`
fn list(names: &[impl AsRef<str>], quotes: Quotes, last: &str) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| quoted_as(name.as_ref(), quotes))
        .collect();
    match names.split_last() {
        Some((name, [])) => name.clone(),
        Some((name, others)) => format!("{} {last} {name}", others.join(", ")),
        None => String::new(),
    }
}

fn quoted_as(name: &str, (open, close): Quotes) -> String {
    format!("{open}{name}{close}")
}
