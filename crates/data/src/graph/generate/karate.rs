//! Zachary's karate club: who of 34 members met whom, before the club split in two;
//! Zachary 1977, "An information flow model for conflict and fission in small groups"
//! <https://doi.org/10.1086/jar.33.4.3629752>.

use crate::graph::GraphDataConfig;
use crate::graph::at::At;
use crate::graph::draft::{Draft, EdgePlace};
use crate::graph::names::{Names, Row};
use crate::graph::set::{Graph, Part};
use crate::{Place, Result};

/// The friends of each member that have a higher number.
const FRIENDS: [&[u32]; 34] = [
    &[1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31],
    &[2, 3, 7, 13, 17, 19, 21, 30],
    &[3, 7, 8, 9, 13, 27, 28, 32],
    &[7, 12, 13],
    &[6, 10],
    &[6, 10, 16],
    &[16],
    &[],
    &[30, 32, 33],
    &[33],
    &[],
    &[],
    &[],
    &[33],
    &[32, 33],
    &[32, 33],
    &[],
    &[],
    &[32, 33],
    &[33],
    &[32, 33],
    &[],
    &[32, 33],
    &[25, 27, 29, 32, 33],
    &[25, 27, 31],
    &[31],
    &[29, 33],
    &[33],
    &[31, 33],
    &[32, 33],
    &[32, 33],
    &[32, 33],
    &[33],
    &[],
];

/// Members that stayed with the instructor, "Mr. Hi".
const OF_THE_INSTRUCTOR: [usize; 17] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 16, 17, 19, 21];

/// The club. A member is known by its number alone; the instructor and the officer are
/// learnt from, as in Kipf & Welling 2017, appendix A <https://arxiv.org/abs/1609.02907>;
/// of the others those with even numbers are the validation part, the rest is the test.
pub(in crate::graph) fn karate(names: &mut Names, config: &GraphDataConfig) -> Result<Graph> {
    let at = Place::file(GraphDataConfig::KARATE);
    let mut draft = Draft::new(at.clone());
    for member in 0..FRIENDS.len() {
        let row = Row {
            categories: vec![member.to_string()],
            ..Row::default()
        };
        let club = match OF_THE_INSTRUCTOR.contains(&member) {
            true => "instructor",
            false => "officer",
        };
        let part = match member {
            0 | 33 => Part::Train,
            even if even % 2 == 0 => Part::Val,
            _ => Part::Test,
        };
        draft.node(names, &row, Some(club), Some(part), &At::place(&at))?;
    }
    let pairs = FRIENDS.iter().zip(0u32..);
    let pairs = pairs.flat_map(|(friends, member)| friends.iter().map(move |&f| [member, f]));
    for (i, pair) in pairs.enumerate() {
        draft.edge(names, pair, &Row::default(), EdgePlace::Index(i))?;
    }
    draft.finish(names, config)
}
