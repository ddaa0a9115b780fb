//! The layers of a model with their shapes.

use candle_core::Result;
use models::{ModelConfig, Parameter, parameters};

use super::numbers::grouped;

/// A table of all parameters: name, shape, count. Blocks that are alike share their lines.
pub(super) fn table(config: &ModelConfig) -> Result<String> {
    let lines: Vec<Line> = parameters(config)?.into_iter().map(Line::new).collect();
    let mut text = row("layers", "shape", "parameters");
    let mut rest = lines.as_slice();
    while let Some(first) = rest.first() {
        let Some(block) = first.block else {
            text.push_str(&first.row(1));
            rest = &rest[1..];
            continue;
        };
        let members = block_of(rest, block);
        let copies = rest
            .chunks(members.len())
            .zip(block..)
            .take_while(|(chunk, number)| are_alike(chunk, members, *number))
            .count();
        let last = block + copies - 1;
        let (title, each) = match copies {
            1 => (format!("  blocks.{block}"), ""),
            _ => (format!("  blocks.{block} to blocks.{last}"), "each"),
        };
        text.push_str(&row(&title, each, &grouped(total(members))));
        text.extend(members.iter().map(|line| line.row(2)));
        rest = &rest[copies * members.len()..];
    }
    text.push_str(&row("  together", "", &grouped(total(&lines))));
    Ok(text)
}

/// One parameter, its name without that of its block.
struct Line {
    block: Option<usize>,
    name: String,
    shape: Vec<usize>,
}

impl Line {
    /// `blocks.3.attn.wq.weight` becomes `attn.wq.weight` of block 3.
    fn new(parameter: Parameter) -> Self {
        let Parameter { name, shape } = parameter;
        let inside = name
            .strip_prefix("blocks.")
            .and_then(|rest| rest.split_once('.'))
            .and_then(|(number, rest)| Some((number.parse().ok()?, rest.to_owned())));
        match inside {
            Some((block, name)) => Self {
                block: Some(block),
                name,
                shape,
            },
            None => Self {
                block: None,
                name,
                shape,
            },
        }
    }

    fn count(&self) -> u64 {
        self.shape.iter().map(|&size| size as u64).product()
    }

    fn row(&self, depth: usize) -> String {
        let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        let name = format!("{}{}", "  ".repeat(depth), self.name);
        row(&name, &sizes.join(" × "), &grouped(self.count()))
    }
}

/// What `rest` starts with that belongs to block number `block`.
fn block_of(rest: &[Line], block: usize) -> &[Line] {
    let members = rest.iter().take_while(|line| line.block == Some(block));
    &rest[..members.count()]
}

/// Whether `lines` are block number `block`, made like that of `members`.
fn are_alike(lines: &[Line], members: &[Line], block: usize) -> bool {
    lines.len() == members.len()
        && lines.iter().zip(members).all(|(line, member)| {
            line.block == Some(block) && line.name == member.name && line.shape == member.shape
        })
}

fn total(lines: &[Line]) -> u64 {
    lines.iter().map(Line::count).sum()
}

/// `name   shape   count`, the count flush right at column 80.
fn row(name: &str, shape: &str, count: &str) -> String {
    format!("{name:<42}{shape:>20}{count:>18}\n")
}
