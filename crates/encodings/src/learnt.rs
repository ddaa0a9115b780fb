//! A vector for every position, learnt with the model.

use attn_core::{Embedding, Mask, Position, WeightInit};
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;

/// Adds row `p` of a learnt table to the rows at position `p`, as in GPT-2 and BERT.
///
/// It knows nothing of positions it has not seen: sequences longer than its table are
/// an error.
///
/// Parameters, under the prefix of the builder: `weight`, `[max_seq_len, d_model]`.
#[derive(Debug, Clone)]
pub struct Learnt {
    table: Embedding,
    max_seq_len: usize,
}

impl Learnt {
    /// Creates the encoding, taking its table from `vb`.
    pub fn new(max_seq_len: usize, d_model: usize, vb: VarBuilder) -> Result<Self> {
        let init = WeightInit::default().weight();
        Ok(Self {
            table: Embedding::new(max_seq_len, d_model, init, vb)?,
            max_seq_len,
        })
    }
}

impl Position for Learnt {
    /// # Errors
    ///
    /// If a sequence is longer than `max_seq_len`.
    fn embed(&self, x: &Tensor, mask: &Mask) -> Result<Tensor> {
        if mask.max_len() > self.max_seq_len {
            bail!(
                "a sequence has {} positions, learnt ones end at max_seq_len = {}",
                mask.max_len(),
                self.max_seq_len
            );
        }
        kernels::add(x, &self.table.lookup(mask.positions())?)
    }
}

#[cfg(test)]
mod tests {
    use attn_core::{ParamStore, Pattern};
    use candle_core::{DType, Device};
    use testkit::{assert_close, gradcheck_all, oracle, randn, reach};

    use super::*;

    fn mask(walls: &[u32]) -> Mask {
        Mask::new(Pattern::Full, walls).expect("valid walls")
    }

    #[test]
    fn rows_get_the_vector_of_their_position_and_teach_it() -> Result<()> {
        let store = ParamStore::new(1, DType::F64, &Device::Cpu);
        let encoding = Learnt::new(4, 3, store.var_builder().pp("position"))?;
        let table = store.get("position.weight").expect("a table");
        let (x, mask) = (randn(1, (6, 3))?, mask(&[0, 4, 6]));
        let rows = oracle::embedding(&mask.positions(), &table)?;
        let y = encoding.embed(&x, &mask)?;
        assert_close(&y, &(&x + rows)?, 1e-14)?;
        let inputs = [("table", &table)];
        gradcheck_all(&inputs, || encoding.embed(&x, &mask))?;
        reach(&y.sqr()?.sum_all()?, inputs)
    }

    #[test]
    fn a_sequence_beyond_the_table_is_an_error_that_says_so() -> Result<()> {
        let store = ParamStore::new(1, DType::F64, &Device::Cpu);
        let encoding = Learnt::new(4, 3, store.var_builder())?;
        let message = encoding
            .embed(&randn(1, (5, 3))?, &mask(&[0, 5]))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("a sequence has 5 positions, learnt ones end at max_seq_len = 4"),
            "{message}"
        );
        Ok(())
    }
}
