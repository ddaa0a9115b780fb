//! What a family's table of names looks like, and how names are found with it.

use std::collections::BTreeSet;

use models::{Kind, ModelConfig, Parameter};

use crate::{Entry, Error, Family, KeyMap, Layout};

/// How one family names and lays out its weights, and what it can express: data alone.
pub(crate) struct Form {
    pub(crate) family: Family,
    /// What the classes of the family begin with: `Bert` of `BertForMaskedLM`.
    pub(crate) class: &'static str,
    /// What stands before the names of the body, without its dot, where a head is beside it.
    pub(crate) prefix: &'static str,
    /// Rows of the body, which all models of the family have, part by part.
    pub(crate) body: &'static [&'static [Row]],
    /// What is around the body. The first is how an architecture is read that is not named.
    pub(crate) heads: &'static [Head],
    /// Names inside the body, without the prefix, that nothing is lost by leaving out: `#`
    /// stands for a number, `*` at the end for the rest.
    pub(crate) spare: &'static [&'static str],
    /// Values of `[model]` that the family has, as JSON, by key; keys that are not here are
    /// free.
    pub(crate) needs: &'static [Need],
}

/// A key of `[model]` and the values, as JSON, that a family can express.
pub(crate) type Need = (&'static str, &'static [&'static str]);

/// One kind of model of a family.
pub(crate) struct Head {
    pub(crate) kind: Kind,
    /// The class that is written.
    pub(crate) architecture: &'static str,
    /// Whether the class is the body itself, so that its names have no prefix.
    pub(crate) bare: bool,
    pub(crate) rows: &'static [Row],
    /// As [`Form::needs`], of this kind alone.
    pub(crate) needs: &'static [Need],
}

/// One module, or one parameter, of both.
pub(crate) struct Row {
    /// Our name: of a module, to which `.weight` and `.bias` belong, or of a parameter, if it
    /// ends in `.weight`. `#` stands for the number of a block.
    pub(crate) ours: &'static str,
    /// Their name, likewise. The first is written; the others are read, too. The last is
    /// that in memory, which since version 5 of transformers may differ from the file's.
    pub(crate) theirs: &'static [&'static str],
    /// Whether it is beside the body, so that no prefix comes before it.
    pub(crate) beside: bool,
    pub(crate) rule: Rule,
}

/// How the [`Layout`] of a row follows from the sizes of the model.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// As ours.
    Same,
    /// As ours, with this many ones before the shape.
    Ones(usize),
    /// A `Conv1D`: the part `.0` of `.1` equal ones of its columns.
    Conv1d(usize, usize),
    /// The kernels of a convolution over patches.
    Patches,
    /// A table of positions that begins with rows that are never read.
    Positions,
}

/// A row of the body, with the same layout.
pub(crate) const fn row(ours: &'static str, theirs: &'static [&'static str]) -> Row {
    Row {
        ours,
        theirs,
        beside: false,
        rule: Rule::Same,
    }
}

/// A row beside the body, with the same layout.
pub(crate) const fn beside(ours: &'static str, theirs: &'static [&'static str]) -> Row {
    Row {
        beside: true,
        ..row(ours, theirs)
    }
}

impl Row {
    /// Their name in a model that has been loaded.
    fn in_memory(&self) -> &'static str {
        self.theirs.last().copied().unwrap_or(self.ours)
    }

    pub(crate) const fn with(self, rule: Rule) -> Self {
        Self { rule, ..self }
    }
}

/// What a map is made from: a form, the kind's head, and what only a checkpoint knows.
pub(crate) struct Mapper<'a> {
    pub(crate) form: &'a Form,
    pub(crate) head: &'a Head,
    /// Rows of positions that are never read.
    pub(crate) skipped_rows: usize,
}

impl Form {
    pub(crate) fn head(&self, kind: Kind) -> Option<&Head> {
        self.heads.iter().find(|head| head.kind == kind)
    }

    fn prefixed(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// What a name is inside the body; `None` for one beside it. Without a prefix, those of
    /// the body are known by their first part.
    fn inside<'n>(&self, name: &'n str, prefixed: bool) -> Option<&'n str> {
        if prefixed {
            return name.strip_prefix(self.prefix)?.strip_prefix('.');
        }
        let begins = |row: &Row| {
            row.theirs
                .iter()
                .any(|of_body| first(of_body) == first(name))
        };
        let mut rows = self.body.iter().copied().flatten();
        rows.any(begins).then_some(name)
    }
}

impl Mapper<'_> {
    /// The names as they are written.
    pub(crate) fn write(&self, model: &ModelConfig) -> Result<KeyMap, Error> {
        let mut map = KeyMap::default();
        for parameter in parameters(model)? {
            let name = parameter.name.clone();
            let Some((row, suffix, block)) = self.row_of(&name) else {
                return Err(self.no_row(&parameter));
            };
            let placed = |name: &str| match row.beside || self.head.bare {
                true => full(name, suffix, block),
                false => self.form.prefixed(&full(name, suffix, block)),
            };
            let (theirs, in_memory) = (placed(row.theirs[0]), placed(row.in_memory()));
            map.entries
                .push(self.entry(row, parameter, theirs, in_memory, model));
        }
        Ok(map)
    }

    /// The names as they are in a file with `theirs`. Parameters of the head, and of what
    /// goes with it, may be missing if `headless`.
    pub(crate) fn read(
        &self,
        model: &ModelConfig,
        theirs: &BTreeSet<String>,
        headless: bool,
    ) -> Result<KeyMap, Error> {
        let dotted = format!("{}.", self.form.prefix);
        let prefixed = theirs.iter().any(|name| name.starts_with(&dotted));
        let mut map = KeyMap::default();
        let mut missing = Vec::new();
        for parameter in parameters(model)? {
            let name = parameter.name.clone();
            let Some((row, suffix, block)) = self.row_of(&name) else {
                return Err(self.no_row(&parameter));
            };
            let placed = |name: String| match prefixed && !row.beside {
                true => self.form.prefixed(&name),
                false => name,
            };
            let spellings = || suffixes(suffix).iter();
            let mut names = (row.theirs.iter())
                .flat_map(|name| spellings().map(|suffix| placed(full(name, suffix, block))));
            match names.find(|name| theirs.contains(name)) {
                Some(name) => {
                    let in_memory = placed(full(row.in_memory(), suffix, block));
                    map.entries
                        .push(self.entry(row, parameter, name, in_memory, model));
                }
                None if headless && self.of_head(row) => map.fresh.push(parameter.name),
                None => {
                    let wanted = placed(full(row.theirs[0], suffix, block));
                    missing.push((parameter.name, wanted));
                }
            }
        }
        if let Some((ours, theirs)) = missing.first().cloned() {
            let others = missing.len() - 1;
            return Err(Error::MissingTensors {
                ours,
                theirs,
                others,
            });
        }
        map.dropped = self.dropped(theirs, &map.entries, prefixed)?;
        Ok(map)
    }

    /// Names that no entry reads, if none of them is a part of the body that counts.
    fn dropped(
        &self,
        theirs: &BTreeSet<String>,
        entries: &[Entry],
        prefixed: bool,
    ) -> Result<Vec<String>, Error> {
        let used: BTreeSet<&str> = entries.iter().map(|entry| entry.theirs.as_str()).collect();
        let dropped: Vec<String> = (theirs.iter())
            .filter(|name| !used.contains(name.as_str()))
            .cloned()
            .collect();
        let spare = |inner: &str| self.form.spare.iter().any(|pattern| fits(pattern, inner));
        let counts = |name: &str| {
            let inner = self.form.inside(name, prefixed);
            inner.is_some_and(|inner| !spare(inner))
        };
        let mut unknown = dropped.iter().filter(|name| counts(name));
        match unknown.next() {
            None => Ok(dropped),
            Some(name) => Err(Error::UnknownTensors {
                family: self.form.family,
                theirs: name.clone(),
                others: unknown.count(),
            }),
        }
    }

    fn entry(
        &self,
        row: &Row,
        parameter: Parameter,
        theirs: String,
        in_memory: String,
        model: &ModelConfig,
    ) -> Entry {
        let Parameter { name, shape } = parameter;
        let rows = shape.first().copied().unwrap_or(0);
        let of_matrix = shape.len() > 1;
        let layout = match row.rule {
            Rule::Conv1d(_, 1) if !of_matrix => Layout::Same,
            Rule::Conv1d(part, parts) => Layout::Columns {
                start: part * rows,
                of: parts * rows,
            },
            Rule::Patches if of_matrix => {
                let patch = match (model.image(), model.speech()) {
                    (Some(image), _) => image.patch(),
                    (None, Some(speech)) => speech.window(),
                    (None, None) => 1,
                };
                let channels = shape[1] / (patch * patch);
                Layout::Patches { channels, patch }
            }
            Rule::Positions if self.skipped_rows > 0 => Layout::SkipRows(self.skipped_rows),
            _ => Layout::Same,
        };
        let their_shape = match row.rule {
            Rule::Ones(n) => [vec![1; n], shape.clone()].concat(),
            _ => layout.their_shape(&shape),
        };
        Entry {
            ours: name,
            shape,
            theirs,
            in_memory,
            their_shape,
            layout,
        }
    }

    /// The row of a parameter of ours, what its name has behind that of the row, and the
    /// number of its block.
    fn row_of<'n>(&self, name: &'n str) -> Option<(&Row, &'n str, &'n str)> {
        let rows = || {
            self.form
                .body
                .iter()
                .copied()
                .flatten()
                .chain(self.head.rows)
        };
        let (pattern, block) = numbered(name);
        if let Some(row) = rows().find(|row| row.ours == pattern) {
            return Some((row, "", block));
        }
        let (module, _) = pattern.rsplit_once('.')?;
        let (_, suffix) = name.rsplit_once('.')?;
        let row = rows().find(|row| row.ours == module)?;
        Some((row, suffix, block))
    }

    fn of_head(&self, row: &Row) -> bool {
        self.head.rows.iter().any(|other| std::ptr::eq(other, row))
    }

    /// The refusal of a parameter that the family has nothing for.
    fn no_row(&self, parameter: &Parameter) -> Error {
        Error::NotExpressible {
            family: self.form.family,
            key: "model",
            value: format!("{{ … }} with `{}`", parameter.name),
            remedy: "remove the key that asks for it".to_owned(),
        }
    }
}

fn parameters(model: &ModelConfig) -> Result<Vec<Parameter>, Error> {
    models::parameters(model).map_err(|error| Error::Unresolved(error.to_string()))
}

/// What ends of names are read for one of ours: norms had other names once.
fn suffixes(suffix: &str) -> &[&str] {
    match suffix {
        "weight" => &["weight", "gamma"],
        "bias" => &["bias", "beta"],
        _ => &[""],
    }
}

/// A name of a row with its end and the number of the block.
fn full(name: &str, suffix: &str, block: &str) -> String {
    let name = name.replace('#', block);
    match suffix {
        "" => name,
        suffix => format!("{name}.{suffix}"),
    }
}

/// `blocks.3.attn.wq` as `blocks.#.attn.wq` and `3`; the number is empty if there is none.
fn numbered(name: &str) -> (String, &str) {
    let mut number = "";
    let parts = name.split('.').map(|part| match is_number(part) {
        true => {
            number = part;
            "#"
        }
        false => part,
    });
    (parts.collect::<Vec<_>>().join("."), number)
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn first(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Whether `name` is what `pattern` says; see [`Form::spare`].
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = name.split('.');
    for wanted in pattern.split('.') {
        match (wanted, parts.next()) {
            ("*", Some(_)) => return true,
            ("#", Some(part)) if is_number(part) => {}
            (wanted, Some(part)) if wanted == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_whole_names() {
        for (pattern, name, fitting) in [
            ("h.#.attn.bias", "h.11.attn.bias", true),
            ("h.#.attn.bias", "h.11.attn.bias.x", false),
            ("h.#.attn.bias", "h.x.attn.bias", false),
            ("h.#.attn.bias", "h.11.attn", false),
            ("pooler.*", "pooler.dense.weight", true),
            ("pooler.*", "pooler", false),
            ("pooler.*", "poolers.dense", false),
        ] {
            assert_eq!(fits(pattern, name), fitting, "{pattern} {name}");
        }
    }

    #[test]
    fn the_number_of_a_block_is_found() {
        let pattern = |name| numbered(name).0;
        assert_eq!(
            pattern("blocks.12.attn.wq.weight"),
            "blocks.#.attn.wq.weight"
        );
        assert_eq!(numbered("blocks.12.attn.wq.weight").1, "12");
        assert_eq!(numbered("embed.weight"), ("embed.weight".to_owned(), ""));
    }
}
