//! Matrices inside slices.

use std::ops::Range;

/// A matrix inside a slice.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a, T> {
    pub(super) data: &'a [T],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

impl<'a, T> Mat<'a, T> {
    /// `rows × cols` values, row after row.
    pub(crate) fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::columns_of(data, rows, cols, cols)
    }

    /// The first `cols` columns of a matrix that is `width` wide.
    pub(crate) fn columns_of(data: &'a [T], rows: usize, cols: usize, width: usize) -> Self {
        assert!(cols <= width && (rows == 0 || data.len() >= (rows - 1) * width + cols));
        Self {
            data,
            rows,
            cols,
            row_stride: width,
            col_stride: 1,
        }
    }

    /// The same view of numbers that lie as these do.
    pub(super) fn with<U>(self, data: &[U]) -> Mat<'_, U> {
        assert!(data.len() == self.data.len());
        let Self {
            rows,
            cols,
            row_stride,
            col_stride,
            ..
        } = self;
        Mat {
            data,
            rows,
            cols,
            row_stride,
            col_stride,
        }
    }

    /// Whether its columns, not its rows, lie together.
    pub(super) fn is_turned(&self) -> bool {
        self.col_stride > self.row_stride
    }

    /// Some of its rows and columns.
    pub(super) fn part(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && cols.end <= self.cols);
        let first = rows.start * self.row_stride + cols.start * self.col_stride;
        Self {
            data: self.data.get(first..).unwrap_or_default(),
            rows: rows.len(),
            cols: cols.len(),
            ..self
        }
    }

    /// The transpose, a view.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix that receives a product: `cols` columns of rows that are `width` wide.
pub(crate) struct MatMut<'a, T> {
    pub(super) data: &'a mut [T],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) width: usize,
}

impl<'a, T> MatMut<'a, T> {
    /// `rows × cols` values, row after row.
    pub(crate) fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        Self::columns_of(data, rows, cols, cols)
    }

    /// The first `cols` columns of a matrix that is `width` wide.
    pub(crate) fn columns_of(data: &'a mut [T], rows: usize, cols: usize, width: usize) -> Self {
        assert!(cols <= width && (rows == 0 || data.len() >= (rows - 1) * width + cols));
        Self {
            data,
            rows,
            cols,
            width,
        }
    }
}
