//! The state of an optimiser by name, to be saved and loaded.

use std::borrow::Cow;
use std::collections::HashMap;

use candle_core::{Result, bail};

use super::Optimizer;

/// One moment of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment<'a> {
    /// The moment's name, a dot, the parameter's name.
    pub name: String,
    /// The parameter's shape.
    pub shape: &'a [usize],
    /// A number for each of the parameter's.
    pub values: Cow<'a, [f32]>,
}

impl Optimizer {
    /// All moments of all parameters, copied if they are on a GPU.
    ///
    /// # Errors
    ///
    /// Fails if they cannot be copied.
    pub fn state(&self) -> Result<Vec<Moment<'_>>> {
        let mut state = Vec::new();
        for (moment, values) in self.rule.moments().iter().zip(&self.moments) {
            let values = values.to_host()?;
            let mut start = 0;
            for parameter in &self.parameters {
                let at = start..start + parameter.var.elem_count();
                start = at.end;
                state.push(Moment {
                    name: format!("{moment}.{}", parameter.name),
                    shape: parameter.var.dims(),
                    values: match &values {
                        Cow::Borrowed(all) => Cow::Borrowed(&all[at]),
                        Cow::Owned(all) => Cow::Owned(all[at].to_vec()),
                    },
                });
            }
        }
        Ok(state)
    }

    /// Takes over what [`Optimizer::state`] gave, as `(name, values)`.
    ///
    /// # Errors
    ///
    /// Fails, without changing anything, if a moment is missing, unexpected or of
    /// another length: the message lists them all.
    pub fn load_state<'a>(
        &mut self,
        saved: impl IntoIterator<Item = (&'a str, &'a [f32])>,
    ) -> Result<()> {
        let mut saved: HashMap<&str, &[f32]> = saved.into_iter().collect();
        let mut faults = Vec::new();
        let mut moments: Vec<Vec<f32>> = vec![Vec::new(); self.moments.len()];
        let per_moment = self.parameters.len().max(1);
        for (i, Moment { name, values, .. }) in self.state()?.into_iter().enumerate() {
            match saved.remove(name.as_str()) {
                None => faults.push(format!("{name} is missing")),
                Some(found) if found.len() != values.len() => {
                    let (found, want) = (found.len(), values.len());
                    faults.push(format!("{name} has {found} numbers instead of {want}"));
                }
                Some(found) => moments[i / per_moment].extend_from_slice(found),
            }
        }
        let mut unexpected: Vec<_> = saved.into_keys().collect();
        unexpected.sort_unstable();
        faults.extend(
            unexpected
                .iter()
                .map(|name| format!("{name} is unexpected")),
        );
        if !faults.is_empty() {
            bail!("optimizer state does not fit: {}", faults.join(", "));
        }
        for (own, saved) in self.moments.iter_mut().zip(moments) {
            own.set(saved)?;
        }
        Ok(())
    }
}
