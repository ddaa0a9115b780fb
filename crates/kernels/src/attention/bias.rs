//! A learnt or constant number for each head and distance, added to the scores.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::window::{BLOCK, STRIP, TILE, Window};
use crate::Real;
use crate::simd::{Kernel, Lanes, map2};
use crate::storage::{Values, values};

/// Adds `table[head, bucket]` to scores, where the bucket of a query at position `p`
/// and a key at position `s` is `p − s + offset`, clamped to the table.
///
/// ALiBi is a constant table, relative biases are learnt ones: the gradient reaches
/// the table. `-inf` in the table forbids.
///
/// # Shapes
///
/// - `table`: `[n_heads, n_buckets]`, contiguous
/// - `query_positions`: one a query row; `key_positions`: one a key row
#[derive(Debug, Clone)]
pub struct RelativeBias {
    /// What is added.
    pub table: Tensor,
    /// Bucket of distance zero.
    pub offset: i64,
    /// Position of each query row.
    pub query_positions: Arc<[u32]>,
    /// Position of each key row.
    pub key_positions: Arc<[u32]>,
}

/// A [`RelativeBias`], borrowed.
pub(super) struct Table<'a, T> {
    values: Values<'a, T>,
    pub(super) n_buckets: usize,
    offset: i64,
    query_positions: &'a [u32],
    key_positions: &'a [u32],
}

/// Elements of scratch that a [`Distances`] needs.
pub(super) const DISTANCES: usize = TILE * BLOCK;

impl RelativeBias {
    /// Checks the table and positions; the number of buckets. `table` stands in for the
    /// one in `self`.
    pub(super) fn check(
        &self,
        table: &Tensor,
        n_heads: usize,
        n_queries: usize,
        n_keys: usize,
    ) -> Result<usize> {
        let (heads, n_buckets) = table.dims2()?;
        if heads != n_heads || n_buckets == 0 {
            bail!(
                "attention: bias table of shape {:?} for {n_heads} heads",
                table.shape()
            );
        }
        for (name, positions, n) in [
            ("query", &self.query_positions, n_queries),
            ("key", &self.key_positions, n_keys),
        ] {
            if positions.len() != n {
                bail!(
                    "attention: {} bias {name} positions for {n} rows",
                    positions.len()
                );
            }
        }
        Ok(n_buckets)
    }

    /// Checks the table and positions, and borrows them, as [`Self::check`].
    pub(super) fn borrow<'a, T: Real>(
        &'a self,
        table: &'a Tensor,
        n_heads: usize,
        n_queries: usize,
        n_keys: usize,
    ) -> Result<Table<'a, T>> {
        let n_buckets = self.check(table, n_heads, n_queries, n_keys)?;
        Ok(Table {
            values: values(table)?,
            n_buckets,
            offset: self.offset,
            query_positions: &self.query_positions,
            key_positions: &self.key_positions,
        })
    }
}

impl<T: Real> Table<'_, T> {
    /// The buckets of head `head`.
    pub(super) fn head(&self, head: usize) -> &[T] {
        &self.values[head * self.n_buckets..(head + 1) * self.n_buckets]
    }

    /// The bucket of query row `i` and key row `j`.
    pub(super) fn bucket(&self, i: usize, j: usize) -> usize {
        self.bucket_of(i64::from(self.query_positions[i]) - i64::from(self.key_positions[j]))
    }

    fn bucket_of(&self, distance: i64) -> usize {
        distance
            .saturating_add(self.offset)
            .clamp(0, self.n_buckets as i64 - 1) as usize
    }

    /// How a tile of (key, query) pairs meets the table.
    pub(super) fn distances(&self, queries: &Range<usize>, keys: &Range<usize>) -> Distances {
        let consecutive = |p: &[u32]| p.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1));
        let (q, k) = (
            &self.query_positions[queries.clone()],
            &self.key_positions[keys.clone()],
        );
        let by_distance = consecutive(q) && consecutive(k);
        Distances {
            queries: queries.clone(),
            keys: keys.clone(),
            lowest: by_distance.then(|| i64::from(q[0]) - i64::from(k[k.len() - 1])),
        }
    }
}

/// The pairs of a tile, by distance.
///
/// Where positions rise by one, as they do in text, all pairs of one diagonal have
/// one bucket: a tile then needs one number a diagonal, and each row of it reads
/// consecutive ones. Else it needs one number a pair.
pub(super) struct Distances {
    queries: Range<usize>,
    keys: Range<usize>,
    /// The lowest distance, if there is one number a diagonal.
    lowest: Option<i64>,
}

impl Distances {
    /// Where the numbers of row `key` start.
    #[inline(always)]
    fn row(&self, key: usize) -> usize {
        match self.lowest {
            Some(_) => self.keys.len() - 1 - key,
            None => key * BLOCK,
        }
    }

    /// The bucket of every number, in order.
    fn buckets<'a, T: Real>(
        &'a self,
        table: &'a Table<'_, T>,
    ) -> impl Iterator<Item = (usize, usize)> + 'a {
        let diagonals = self.lowest.map(|lowest| {
            (0..self.queries.len() + self.keys.len() - 1)
                .map(move |t| (t, table.bucket_of(lowest + t as i64)))
        });
        let pairs = self.lowest.is_none().then(|| {
            self.keys.clone().enumerate().flat_map(move |(j, key)| {
                let number = move |(i, query)| (j * BLOCK + i, table.bucket(query, key));
                self.queries.clone().enumerate().map(number)
            })
        });
        diagonals
            .into_iter()
            .flatten()
            .chain(pairs.into_iter().flatten())
    }

    /// `scores += table`
    pub(super) fn add_to<T: Real>(
        &self,
        scores: &mut [T],
        window: &Window,
        table: &Table<'_, T>,
        head: usize,
        numbers: &mut [T],
    ) {
        let values = table.head(head);
        // What is added to places past the last query must be a number: of the gradients
        // of their scores, which are zero times it, sums are made, too.
        if !self.queries.len().is_multiple_of(STRIP) {
            numbers.fill(T::zero());
        }
        for (t, bucket) in self.buckets(table) {
            numbers[t] = values[bucket];
        }
        T::dispatch(Add {
            distances: self,
            window,
            tile: scores,
            numbers,
        });
    }

    /// `grad[bucket] += Σ tile` over the pairs of the bucket; `grad` is one head's.
    pub(super) fn sum_into<T: Real>(
        &self,
        tile: &[T],
        window: &Window,
        table: &Table<'_, T>,
        numbers: &mut [T],
        grad: &mut [T],
    ) {
        numbers.fill(T::zero());
        T::dispatch(Sum {
            distances: self,
            window,
            tile,
            numbers,
        });
        for (t, bucket) in self.buckets(table) {
            grad[bucket] += numbers[t];
        }
    }
}

struct Add<'a, T> {
    distances: &'a Distances,
    window: &'a Window,
    tile: &'a mut [T],
    numbers: &'a [T],
}

impl<T: Real> Kernel<T> for Add<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        for (strip, keys) in self.window.strips() {
            for j in keys {
                let tile = &mut self.tile[j * BLOCK + strip * STRIP..][..STRIP];
                let numbers = &self.numbers[self.distances.row(j) + strip * STRIP..][..STRIP];
                map2(lanes, tile, numbers, |score, bias| lanes.add(score, bias));
            }
        }
    }
}

struct Sum<'a, T> {
    distances: &'a Distances,
    window: &'a Window,
    tile: &'a [T],
    numbers: &'a mut [T],
}

impl<T: Real> Kernel<T> for Sum<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        for (strip, keys) in self.window.strips() {
            for j in keys {
                let tile = &self.tile[j * BLOCK + strip * STRIP..][..STRIP];
                let numbers = &mut self.numbers[self.distances.row(j) + strip * STRIP..][..STRIP];
                map2(lanes, numbers, tile, |sum, grad| lanes.add(sum, grad));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::randn;

    use super::*;
    use crate::Spans;

    #[test]
    fn places_past_the_last_query_get_numbers() -> Result<()> {
        let spans = Spans::new(vec![(0..5, 0..7)], |_, keys| keys.clone())?;
        let (queries, keys) = (0..5, 0..7);
        let window = Window::new(&spans, &queries, &keys).expect("every query reads");
        for positions in [[0, 1, 2, 3, 4], [4, 4, 9, 0, 1]] {
            let bias = RelativeBias {
                table: randn(1, (1, 9))?,
                offset: 4,
                query_positions: positions.into(),
                key_positions: (0..7).collect(),
            };
            let table = bias.borrow::<f64>(&bias.table, 1, 5, 7)?;
            let mut scores = vec![0.0; TILE * BLOCK];
            let mut numbers = vec![f64::NAN; DISTANCES];
            let distances = table.distances(&queries, &keys);
            distances.add_to(&mut scores, &window, &table, 0, &mut numbers);
            for key in keys.clone() {
                let row = &scores[key * BLOCK..][..STRIP];
                let want = queries.clone().map(|i| table.head(0)[table.bucket(i, key)]);
                assert!(row[..5].iter().copied().eq(want), "{row:?}");
                assert!(row.iter().all(|x| x.is_finite()), "{row:?}");
            }
        }
        Ok(())
    }
}
