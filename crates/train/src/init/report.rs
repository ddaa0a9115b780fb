//! What became of the tensors of a model that a run starts from.

use std::fmt;

/// What became of each parameter, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Where the model is.
    pub from: String,
    /// Parameters that have the values of the model.
    pub loaded: usize,
    /// Parameters made of others: positions resampled, rows of tokens taken over.
    pub adapted: Vec<String>,
    /// Parameters that are drawn.
    pub new: Vec<String>,
    /// Tensors of the model that are not taken.
    pub ignored: Vec<String>,
    /// Numbers that are trained.
    pub n_trained: usize,
    /// Numbers of the model, adapters among them.
    pub n_params: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} tensors loaded", self.from, self.loaded)?;
        for (what, names) in [
            ("adapted", &self.adapted),
            ("new", &self.new),
            ("ignored", &self.ignored),
        ] {
            if !names.is_empty() {
                write!(f, ", {} {what} ({})", names.len(), list(names))?;
            }
        }
        let share = 100.0 * self.n_trained as f64 / self.n_params.max(1) as f64;
        write!(
            f,
            "; {} of {} parameters are trained ({share:.1} %)",
            self.n_trained, self.n_params
        )
    }
}

/// The first few of `names`, and how many more there are.
pub(super) fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(", {} more", names.len() - SHOWN));
    }
    text
}
