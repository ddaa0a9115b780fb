//! The mask drawn in characters.

use super::Mask;

impl Mask {
    /// Draws the first `max` queries (down) and keys (across): `█` may be read, `·`
    /// may not. Says so below the drawing when something was left out.
    ///
    /// ```
    /// use attn_core::mask::{Mask, Pattern};
    ///
    /// let mask = Mask::new(Pattern::Causal, [0, 2, 5])?;
    /// assert_eq!(mask.picture(8), "█····\n██···\n··█··\n··██·\n··███\n");
    /// # Ok::<(), attn_core::mask::MaskError>(())
    /// ```
    pub fn picture(&self, max: usize) -> String {
        let (rows, columns) = (self.n_queries().min(max), self.n_keys().min(max));
        let mut picture = String::new();
        for i in 0..rows {
            picture.extend((0..columns).map(|j| if self.allows(i, j) { '█' } else { '·' }));
            picture.push('\n');
        }
        if rows < self.n_queries() || columns < self.n_keys() {
            let (t, s) = (self.n_queries(), self.n_keys());
            picture.push_str(&format!("the first {rows} × {columns} of {t} × {s}\n"));
        }
        picture
    }
}
