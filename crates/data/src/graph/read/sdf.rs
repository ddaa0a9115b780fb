//! Molecules of a structure-data file, V2000.
//!
//! Atoms are nodes: element, charge, number of bonds, sum of their orders, whether in a
//! ring, all as categories. Bonds are edges: order, and whether in a ring. The property
//! that `label_column` names is what is learnt. Format: Dalby et al. 1992
//! <https://doi.org/10.1021/ci00007a012>.

use std::path::Path;

use crate::Result;
use crate::graph::GraphDataConfig;
use crate::graph::at::At;
use crate::graph::draft::{Draft, EdgePlace};
use crate::graph::names::{Names, Row};
use crate::graph::set::{Graph, Label, Part};
use crate::graph::structure::rings;
use crate::lines::Lines;

/// The line that ends a molecule.
const END: &str = "$$$$";

pub(super) fn read(path: &Path, config: &GraphDataConfig, names: &mut Names) -> Result<Vec<Graph>> {
    let mut lines = Lines::open(path)?;
    let (mut graphs, mut skips) = (Vec::new(), config.skips());
    loop {
        let read = match Molecule::read(&mut lines, config) {
            Ok(None) => return Ok(graphs),
            Ok(Some(molecule)) => molecule.graph(names, config),
            Err(error) => {
                // The next molecule begins after the end of this one.
                while lines.next()?.is_some_and(|line| line.trim_end() != END) {}
                Err(error)
            }
        };
        graphs.extend(skips.keep(read)?);
    }
}

struct Molecule {
    at: At,
    /// Element, charge, and where it is written.
    atoms: Vec<(String, i32, At)>,
    /// Two atoms, the order, and the line.
    bonds: Vec<([u32; 2], u32, u64)>,
    label: Option<Label>,
    part: Option<Part>,
}

impl Molecule {
    fn read(lines: &mut Lines, config: &GraphDataConfig) -> Result<Option<Self>> {
        // The name may be blank; blank lines alone are no molecule.
        let mut header = Vec::new();
        while header.len() < 4 {
            match lines.next()? {
                Some(line) => header.push(line),
                None if header.iter().all(|line| line.trim().is_empty()) => return Ok(None),
                None => return Err(truncated(lines, "the counts of a molecule")),
            }
        }
        let counts = &header[3];
        let at = At::place(&lines.place());
        if counts.contains("V3000") {
            return Err(at.refuse(
                "a molecule in the format V3000",
                "convert the file to V2000",
            ));
        }
        let n_atoms = field(counts, 0..3, "the number of atoms", &at)?;
        let n_bonds = field(counts, 3..6, "the number of bonds", &at)?;
        let mut molecule = Self {
            at,
            atoms: Vec::with_capacity(n_atoms),
            bonds: Vec::with_capacity(n_bonds),
            label: None,
            part: None,
        };
        for _ in 0..n_atoms {
            let line = lines.next()?.ok_or_else(|| truncated(lines, "the atoms"))?;
            let at = At::place(&lines.place());
            let element = line.get(30..line.len().min(34)).unwrap_or_default().trim();
            if element.is_empty()
                || !element.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*')
            {
                return Err(at.refuse(
                    "no element in columns 31 to 34 of an atom",
                    "write the atoms as V2000 has them",
                ));
            }
            molecule.atoms.push((element.to_string(), 0, at));
        }
        for _ in 0..n_bonds {
            let line = lines.next()?.ok_or_else(|| truncated(lines, "the bonds"))?;
            let at = At::place(&lines.place());
            let mut ends = [0; 2];
            for (end, columns) in ends.iter_mut().zip([0..3, 3..6]) {
                let atom: usize = field(&line, columns, "the number of an atom", &at)?;
                if atom == 0 || atom > n_atoms {
                    return Err(at.refuse(
                        format!("a bond to atom {atom}, but there are {n_atoms}, numbered from 1"),
                        "add the atom or remove the bond",
                    ));
                }
                *end = atom as u32 - 1;
            }
            let order = field(&line, 6..9, "the order of a bond", &at)?;
            molecule.bonds.push((ends, order as u32, lines.number()));
        }
        molecule.read_properties(lines, config)?;
        Ok(Some(molecule))
    }

    /// Charges and data, up to the line that ends the molecule or the file.
    fn read_properties(&mut self, lines: &mut Lines, config: &GraphDataConfig) -> Result<()> {
        while let Some(line) = lines.next()? {
            if line.trim_end() == END {
                break;
            }
            if let Some(charges) = line.strip_prefix("M  CHG") {
                self.read_charges(charges, &At::place(&lines.place()))?;
            }
            let Some(name) = line.strip_prefix('>').and_then(property_name) else {
                continue;
            };
            let Some(value) = lines.next()? else { break };
            let value = value.trim();
            if name == config.label_column() && !value.is_empty() {
                self.label = Some(Label {
                    text: value.to_string(),
                    at: lines.place(),
                });
            } else if name == config.split_column() {
                let at = At::place(&lines.place());
                let part = Part::of(value);
                self.part = Some(part.ok_or_else(|| super::json::unknown_part(value, &at))?);
            }
            if value == END {
                break;
            }
        }
        Ok(())
    }

    /// `n`, then pairs of an atom and its charge.
    fn read_charges(&mut self, line: &str, at: &At) -> Result<()> {
        let numbers: Vec<i32> = line
            .split_whitespace()
            .skip(1)
            .map(|word| {
                word.parse().map_err(|_| {
                    at.refuse(
                        format!("`{word}` is no atom or charge"),
                        "write whole numbers",
                    )
                })
            })
            .collect::<Result<_>>()?;
        for pair in numbers.chunks_exact(2) {
            let index = usize::try_from(pair[0]).ok().and_then(|i| i.checked_sub(1));
            let Some(atom) = index.and_then(|i| self.atoms.get_mut(i)) else {
                return Err(at.refuse(
                    format!("the charge of atom {}, which is not there", pair[0]),
                    "number the atoms from 1",
                ));
            };
            atom.1 = pair[1];
        }
        Ok(())
    }

    fn graph(self, names: &mut Names, config: &GraphDataConfig) -> Result<Graph> {
        let ends: Vec<[u32; 2]> = self.bonds.iter().map(|bond| bond.0).collect();
        let rings = rings(self.atoms.len(), &ends);
        let mut bonds = vec![(0, 0, false); self.atoms.len()];
        for (&(ends, order, _), &in_ring) in self.bonds.iter().zip(&rings) {
            for end in ends {
                let (degree, orders, ring) = &mut bonds[end as usize];
                *degree += 1;
                *orders += order;
                *ring |= in_ring;
            }
        }
        let mut draft = Draft::new(self.at.place.clone());
        let ring = |in_ring| if in_ring { "ring" } else { "chain" }.to_string();
        for ((element, charge, at), (degree, orders, in_ring)) in self.atoms.iter().zip(bonds) {
            let row = Row {
                categories: vec![
                    element.clone(),
                    charge.to_string(),
                    degree.to_string(),
                    orders.to_string(),
                    ring(in_ring),
                ],
                ..Row::default()
            };
            draft.node(names, &row, None, None, at)?;
        }
        for (&(ends, order, line), &in_ring) in self.bonds.iter().zip(&rings) {
            let row = Row {
                categories: vec![order.to_string(), ring(in_ring)],
                ..Row::default()
            };
            draft.edge(names, ends, &row, EdgePlace::Line(line))?;
        }
        (draft.label, draft.part) = (self.label, self.part);
        draft.finish(names, config)
    }
}

/// The name between the first pair of angle brackets.
fn property_name(header: &str) -> Option<&str> {
    let (_, rest) = header.split_once('<')?;
    rest.split_once('>').map(|(name, _)| name)
}

/// The whole number in `columns` of a line of fixed width.
fn field(line: &str, columns: std::ops::Range<usize>, what: &str, at: &At) -> Result<usize> {
    let end = columns.end.min(line.len());
    let text = line
        .get(columns.start.min(end)..end)
        .unwrap_or_default()
        .trim();
    text.parse().map_err(|_| {
        at.refuse(
            format!(
                "`{text}` in columns {} to {} is not {what}",
                columns.start + 1,
                columns.end
            ),
            "write the molecule as V2000 has it",
        )
    })
}

fn truncated(lines: &Lines, what: &str) -> crate::Error {
    At::place(&lines.place()).refuse(
        format!("the file ends before {what}"),
        "fetch the file again, or write it anew",
    )
}
