//! A vector for every row and one for every column of a grid, learnt with the model.

use std::sync::Arc;

use attn_core::{Embedding, Mask, Position, WeightInit};
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;

use crate::Grid;

/// Adds to a patch the vector of its row and that of its column.
///
/// `height + width` vectors where [`Learnt`](crate::Learnt) has `height · width`. A
/// class token stands in a row and a column of its own, the last ones.
///
/// Parameters, under the prefix of the builder: `rows.weight`, `[height, d_model]`, and
/// `columns.weight`, `[width, d_model]`, each with one row more for a class token.
#[derive(Debug, Clone)]
pub struct Learnt2d {
    rows: Embedding,
    columns: Embedding,
    /// Row and column of every position.
    places: Vec<(u32, u32)>,
}

impl Learnt2d {
    /// Creates the encoding, taking its tables from `vb`.
    pub fn new(grid: Grid, d_model: usize, vb: VarBuilder) -> Result<Self> {
        let init = WeightInit::default().weight();
        let Grid { height, width, .. } = grid;
        let own = usize::from(grid.class_token);
        let nowhere = (height, width);
        let place = |place: Option<(usize, usize)>| {
            let (row, column) = place.unwrap_or(nowhere);
            (row as u32, column as u32)
        };
        Ok(Self {
            rows: Embedding::new(height + own, d_model, init, vb.pp("rows"))?,
            columns: Embedding::new(width + own, d_model, init, vb.pp("columns"))?,
            places: grid.places().map(place).collect(),
        })
    }
}

impl Position for Learnt2d {
    /// # Errors
    ///
    /// If a sequence is longer than the grid.
    fn embed(&self, x: &Tensor, mask: &Mask) -> Result<Tensor> {
        if mask.max_len() > self.places.len() {
            bail!(
                "a sequence has {} positions, the grid {}",
                mask.max_len(),
                self.places.len()
            );
        }
        let positions = mask.positions();
        let places = positions.iter().map(|&p| self.places[p as usize]);
        let (rows, columns): (Vec<u32>, Vec<u32>) = places.unzip();
        let (rows, columns): (Arc<[u32]>, Arc<[u32]>) = (rows.into(), columns.into());
        let x = kernels::add(x, &self.rows.lookup(rows)?)?;
        kernels::add(&x, &self.columns.lookup(columns)?)
    }
}

#[cfg(test)]
mod tests {
    use attn_core::{ParamStore, Pattern};
    use candle_core::{DType, Device};
    use testkit::{assert_close, gradcheck_all, oracle, randn, reach};

    use super::*;

    #[test]
    fn patches_get_the_vectors_of_their_row_and_column_and_teach_them() -> Result<()> {
        let grid = Grid {
            height: 2,
            width: 3,
            class_token: true,
        };
        let store = ParamStore::new(1, DType::F64, &Device::Cpu);
        let encoding = Learnt2d::new(grid, 4, store.var_builder().pp("position"))?;
        let table = |name: &str| store.get(name).expect("a table");
        let (rows, columns) = (
            table("position.rows.weight"),
            table("position.columns.weight"),
        );
        let mask = Mask::new(Pattern::Full, [0, 7, 14]).expect("valid walls");
        let x = randn(1, (14, 4))?;
        let (row_ids, column_ids) = ([2, 0, 0, 0, 1, 1, 1], [3, 0, 1, 2, 0, 1, 2]);
        let twice = |ids: [u32; 7]| [ids, ids].concat();
        let want = (&x + oracle::embedding(&twice(row_ids), &rows)?)?;
        let want = (want + oracle::embedding(&twice(column_ids), &columns)?)?;
        let y = encoding.embed(&x, &mask)?;
        assert_close(&y, &want, 1e-14)?;
        let inputs = [("rows", &rows), ("columns", &columns)];
        gradcheck_all(&inputs, || encoding.embed(&x, &mask))?;
        reach(&y.sqr()?.sum_all()?, inputs)
    }
}
