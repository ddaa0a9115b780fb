//! Rows of a sequence that stand on a grid.

/// A grid of patches, read row by row, behind rows that stand nowhere on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Patches from top to bottom.
    pub height: usize,
    /// Patches from left to right.
    pub width: usize,
    /// Whether a class token, which stands nowhere, comes first.
    pub class_token: bool,
}

impl Grid {
    /// Rows of a sequence.
    pub fn len(&self) -> usize {
        usize::from(self.class_token) + self.height * self.width
    }

    /// Whether there is nothing on it, nor before it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row and column of every row of a sequence, `None` for a class token.
    pub fn places(&self) -> impl Iterator<Item = Option<(usize, usize)>> + use<> {
        let Self { height, width, .. } = *self;
        let class_token = self.class_token.then_some(None);
        let patches = (0..height * width).map(move |i| Some((i / width, i % width)));
        class_token.into_iter().chain(patches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_run_row_by_row_behind_the_class_token() {
        let grid = Grid {
            height: 2,
            width: 3,
            class_token: true,
        };
        let places: Vec<_> = grid.places().collect();
        assert_eq!(places.len(), grid.len());
        assert_eq!(places[0], None);
        assert_eq!(places[1..3], [Some((0, 0)), Some((0, 1))]);
        assert_eq!(places[6], Some((1, 2)));
    }
}
