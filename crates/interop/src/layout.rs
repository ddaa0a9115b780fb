//! How the numbers of a tensor of theirs lie in ours.

/// Where the numbers of one of our parameters are in a tensor of theirs.
///
/// All of them only move numbers: what goes to ours and back is the same to the bit. A
/// tensor of theirs may hold several of ours ([`Layout::Columns`]) or rows that are none of
/// ours ([`Layout::SkipRows`]), so writing one fills a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// The same numbers in the same order; the shape may have ones that ours lacks.
    Same,
    /// Ours, `[rows, d_in]`, are the columns `start..start + rows` of theirs, `[d_in, of]`,
    /// which is how GPT-2 keeps the matrix of a linear map (its `Conv1D`), and, one behind
    /// the other, those of queries, keys and values. A bias counts as a matrix with
    /// `d_in = 1`.
    Columns {
        /// The first column.
        start: usize,
        /// Columns there are.
        of: usize,
    },
    /// Ours, `[d, patch · patch · channels]`, are the kernels of a convolution,
    /// `[d, channels, patch, patch]`: where they have one channel behind the other, we have
    /// the channels of a pixel together.
    Patches {
        /// Numbers a pixel.
        channels: usize,
        /// Pixels of a side of a patch.
        patch: usize,
    },
    /// Ours are theirs but for this many rows at the top, which no input reads: RoBERTa
    /// counts positions from 2. Written, they are zeros.
    SkipRows(usize),
}

impl Layout {
    /// The shape of the tensor that holds a parameter of ours of this shape.
    ///
    /// [`Layout::Same`] may also stand for a shape with ones more.
    pub fn their_shape(&self, ours: &[usize]) -> Vec<usize> {
        match (*self, ours) {
            (Self::Columns { of, .. }, [_]) => vec![of],
            (Self::Columns { of, .. }, [_, inner @ ..]) => [inner, &[of]].concat(),
            (Self::Patches { channels, patch }, [d, ..]) => vec![*d, channels, patch, patch],
            (Self::SkipRows(n), [rows, inner @ ..]) => [&[rows.saturating_add(n)], inner].concat(),
            _ => ours.to_vec(),
        }
    }

    /// Takes our numbers out of theirs.
    ///
    /// # Shapes
    ///
    /// - `ours`: the shape of ours
    /// - `theirs`: all numbers of [`Layout::their_shape`], row by row
    /// - returns: all numbers of ours, row by row; `None` if `theirs` holds another number
    pub fn to_ours(&self, ours: &[usize], theirs: Vec<f32>) -> Option<Vec<f32>> {
        let count: usize = product(&self.their_shape(ours))?;
        if theirs.len() != count {
            return None;
        }
        if *self == Self::Same {
            return Some(theirs);
        }
        let size = product(ours)?;
        Some((0..size).map(|i| theirs[self.at(ours, i)]).collect())
    }

    /// Puts our numbers where they belong in theirs, and leaves the others.
    ///
    /// # Shapes
    ///
    /// - `shape`: the shape of ours
    /// - `ours`: all its numbers
    /// - `theirs`: all numbers of [`Layout::their_shape`]
    /// - returns: whether they are as many as the shapes say; if not, nothing is written
    pub fn to_theirs(&self, shape: &[usize], ours: &[f32], theirs: &mut [f32]) -> bool {
        let counts = (product(shape), product(&self.their_shape(shape)));
        if counts != (Some(ours.len()), Some(theirs.len())) {
            return false;
        }
        match self {
            Self::Same => theirs.copy_from_slice(ours),
            _ => {
                for (i, &value) in ours.iter().enumerate() {
                    theirs[self.at(shape, i)] = value;
                }
            }
        }
        true
    }

    /// Where the number `i` of ours, of shape `ours`, is in theirs.
    fn at(&self, ours: &[usize], i: usize) -> usize {
        let row = ours.iter().skip(1).product::<usize>().max(1);
        match *self {
            Self::Same => i,
            Self::Columns { start, of } => i % row * of + start + i / row,
            Self::Patches { channels, patch } => {
                let (pixel, channel) = (i % row / channels, i % channels);
                i / row * row + channel * patch * patch + pixel
            }
            Self::SkipRows(n) => n * row + i,
        }
    }
}

fn product(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| i as f32).collect()
    }

    #[test]
    fn a_number_is_where_the_definition_says() {
        // Theirs [2, 6]: query, key and value columns of two each.
        let keys = Layout::Columns { start: 2, of: 6 };
        assert_eq!(keys.their_shape(&[2, 2]), [2, 6]);
        let ours = keys.to_ours(&[2, 2], numbers(12));
        assert_eq!(ours, Some(vec![2.0, 8.0, 3.0, 9.0]));
        assert_eq!(keys.their_shape(&[2]), [6]);
        assert_eq!(keys.to_ours(&[2], numbers(6)), Some(vec![2.0, 3.0]));

        // One kernel of two channels and 2x2 pixels.
        let patches = Layout::Patches {
            channels: 2,
            patch: 2,
        };
        assert_eq!(patches.their_shape(&[1, 8]), [1, 2, 2, 2]);
        let ours = patches.to_ours(&[1, 8], numbers(8));
        assert_eq!(ours, Some(vec![0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]));

        let rows = Layout::SkipRows(2);
        assert_eq!(rows.their_shape(&[1, 3]), [3, 3]);
        assert_eq!(rows.to_ours(&[1, 3], numbers(9)), Some(vec![6.0, 7.0, 8.0]));
    }

    #[test]
    fn numbers_too_many_or_too_few_are_refused() {
        for layout in [
            Layout::Same,
            Layout::Columns { start: 0, of: 6 },
            Layout::Patches {
                channels: 1,
                patch: 2,
            },
            Layout::SkipRows(1),
        ] {
            let count: usize = layout.their_shape(&[2, 4]).iter().product();
            assert!(layout.to_ours(&[2, 4], numbers(count)).is_some());
            for wrong in [0, count - 1, count + 1] {
                assert_eq!(layout.to_ours(&[2, 4], numbers(wrong)), None);
                let written = layout.to_theirs(&[2, 4], &numbers(8), &mut numbers(wrong));
                assert!(!written);
            }
        }
        assert_eq!(Layout::Same.to_ours(&[usize::MAX, 2], numbers(2)), None);
    }

    /// A layout and a shape of ours that goes with it.
    fn cases() -> impl Strategy<Value = (Layout, Vec<usize>)> {
        let shape = (1usize..5, 1usize..5);
        prop_oneof![
            shape.clone().prop_map(|(a, b)| (Layout::Same, vec![a, b])),
            (shape.clone(), 0usize..4, 0usize..4).prop_map(|((rows, d_in), start, more)| {
                let of = start + rows + more;
                (Layout::Columns { start, of }, vec![rows, d_in])
            }),
            (1usize..5, 0usize..4, 0usize..4).prop_map(|(rows, start, more)| {
                let of = start + rows + more;
                (Layout::Columns { start, of }, vec![rows])
            }),
            (1usize..4, 1usize..4, 1usize..4).prop_map(|(d, channels, patch)| {
                let shape = vec![d, patch * patch * channels];
                (Layout::Patches { channels, patch }, shape)
            }),
            (shape, 0usize..4).prop_map(|((a, b), n)| (Layout::SkipRows(n), vec![a, b])),
        ]
    }

    proptest! {
        #[test]
        fn ours_come_back_from_theirs((layout, shape) in cases()) {
            let ours = numbers(shape.iter().product());
            let count = layout.their_shape(&shape).iter().product();
            let mut theirs = vec![-1.0; count];
            prop_assert!(layout.to_theirs(&shape, &ours, &mut theirs));
            // Each number is in one place, and the rest was left.
            let rest = theirs.iter().filter(|&&value| value == -1.0).count();
            prop_assert_eq!(rest, count - ours.len());
            prop_assert_eq!(layout.to_ours(&shape, theirs), Some(ours));
        }

        #[test]
        fn theirs_come_back_from_ours((layout, shape) in cases()) {
            let count = layout.their_shape(&shape).iter().product();
            let theirs = numbers(count);
            let ours = layout.to_ours(&shape, theirs.clone()).expect("as many");
            let mut again = theirs.clone();
            prop_assert!(layout.to_theirs(&shape, &ours, &mut again));
            prop_assert_eq!(again, theirs);
        }
    }
}
