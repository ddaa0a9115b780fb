//! Which rows are added up to which: sums of many rows, cut so that no block of a GPU adds more
//! than a few.

use super::cpu::Places;

/// Rows that one block adds up at most.
const AT_MOST: usize = 64;

/// Sums of rows: row `rows[i]` of a target gets those rows of a source that are listed in
/// `places[starts[i]..starts[i + 1]]`, added up in that order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lists {
    pub(super) rows: Vec<u32>,
    pub(super) starts: Vec<u32>,
    pub(super) places: Vec<u32>,
}

/// One round of sums.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// From the source into the table.
    pub(super) finished: Lists,
    /// From the source into partial sums, which are the source of the next round.
    pub(super) partial: Lists,
}

impl Lists {
    fn push(&mut self, row: u32, places: impl IntoIterator<Item = u32>) {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.rows.push(row);
        self.places.extend(places);
        self.starts.push(self.places.len() as u32);
    }
}

/// The rounds by which the places of each row of a table are added up, and none is empty: every
/// row that is read is finished in one of them.
pub(super) fn rounds(places: &Places) -> Vec<Round> {
    let read = (0..places.rows()).filter(|&row| !places.of(row).is_empty());
    let mut lists: Vec<(u32, Vec<u32>)> = read
        .map(|row| (row as u32, places.of(row).to_vec()))
        .collect();
    let mut rounds = Vec::new();
    while !lists.is_empty() {
        let mut round = Round::default();
        let mut left = Vec::new();
        for (row, places) in lists {
            if places.len() <= AT_MOST {
                round.finished.push(row, places);
                continue;
            }
            let first = round.partial.rows.len() as u32;
            for (chunk, places) in (first..).zip(places.chunks(AT_MOST)) {
                round.partial.push(chunk, places.iter().copied());
            }
            left.push((row, (first..round.partial.rows.len() as u32).collect()));
        }
        rounds.push(round);
        lists = left;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each row gets, if the source's row `i` is a list of `i` alone.
    fn added(rounds: &[Round], n: usize, rows: usize) -> Vec<Vec<u32>> {
        let mut source: Vec<Vec<u32>> = (0..n as u32).map(|i| vec![i]).collect();
        let mut table = vec![Vec::new(); rows];
        let sums = |lists: &Lists, source: &[Vec<u32>], into: &mut [Vec<u32>]| {
            for (i, &row) in lists.rows.iter().enumerate() {
                let listed = lists.starts[i] as usize..lists.starts[i + 1] as usize;
                assert!(!listed.is_empty() && listed.len() <= AT_MOST);
                assert!(into[row as usize].is_empty(), "row {row} is written twice");
                let listed = lists.places[listed].iter();
                into[row as usize] = listed.flat_map(|&i| source[i as usize].clone()).collect();
            }
        };
        for round in rounds {
            sums(&round.finished, &source, &mut table);
            let mut partial = vec![Vec::new(); round.partial.rows.len()];
            sums(&round.partial, &source, &mut partial);
            source = partial;
        }
        table
    }

    #[test]
    fn every_row_gets_its_places_in_their_order() {
        for (n, rows) in [
            (0, 3),
            (1, 1),
            (64, 1),
            (65, 1),
            (130, 2),
            (5000, 1),
            (9000, 7),
        ] {
            let ids: Vec<u32> = (0..n).map(|i| (i * i % rows) as u32).collect();
            let rounds = rounds(&Places::new(&ids, rows));
            for (row, got) in added(&rounds, n, rows).into_iter().enumerate() {
                let reads = (0..n as u32).filter(|&i| ids[i as usize] as usize == row);
                assert_eq!(got, reads.collect::<Vec<_>>(), "row {row} of {rows}");
            }
        }
    }
}
