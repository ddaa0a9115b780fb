//! What happens to an example that cannot be read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What to do about an example that cannot be read: the key `on_error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// End with the error of the first one
    #[default]
    Fail,
    /// Leave it out, with a warning, up to `max_skipped` of them
    Skip,
}

/// Examples that may be left out where `max_skipped` does not say.
pub const MAX_SKIPPED: u64 = 100;

/// Leaves out examples that cannot be read, as far as the configuration allows it.
///
/// ```
/// use data::{Error, OnError, Place, Skips};
///
/// let broken = || Err::<u32, _>(Error::Empty { at: Place::file("a.wav") });
/// let mut skips = Skips::new(OnError::Skip, 1);
/// assert_eq!(skips.keep(Ok(3))?, Some(3));
/// assert_eq!(skips.keep(broken())?, None);
/// assert_eq!(skips.count(), 1);
/// assert!(skips.keep(broken()).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Skips {
    policy: OnError,
    max_skipped: u64,
    count: u64,
}

impl Skips {
    /// Nothing left out so far, and at most `max_skipped` to be, if `policy` is to skip.
    pub fn new(policy: OnError, max_skipped: u64) -> Self {
        Self {
            policy,
            max_skipped,
            count: 0,
        }
    }

    /// The example, or `None` if it is left out.
    ///
    /// # Errors
    ///
    /// The error of the example where the policy is to fail, or where too many were left
    /// out before it.
    pub fn keep<T>(&mut self, example: Result<T>) -> Result<Option<T>> {
        match (example, self.policy) {
            (Ok(example), _) => Ok(Some(example)),
            (Err(error), OnError::Fail) => Err(error),
            (Err(error), OnError::Skip) if self.count >= self.max_skipped => {
                Err(Error::TooManySkipped {
                    max_skipped: self.max_skipped,
                    cause: Box::new(error),
                })
            }
            (Err(error), OnError::Skip) => {
                self.count += 1;
                tracing::warn!("left out: {error}");
                Ok(None)
            }
        }
    }

    /// Examples left out so far.
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;

    fn broken(name: &str) -> Result<()> {
        Err(Error::Empty {
            at: Place::file(name),
        })
    }

    #[test]
    fn failing_passes_the_first_error_on() {
        let mut skips = Skips::new(OnError::Fail, 100);
        assert!(skips.keep(Ok(())).is_ok_and(|kept| kept.is_some()));
        let error = skips.keep(broken("a.wav")).unwrap_err();
        assert!(matches!(error, Error::Empty { .. }), "{error}");
        assert_eq!(skips.count(), 0);
    }

    #[test]
    fn skipping_counts_up_to_the_cap_and_then_names_it() -> Result<()> {
        let mut skips = Skips::new(OnError::Skip, 2);
        assert_eq!(skips.keep(broken("a.wav"))?, None);
        assert_eq!(skips.keep(broken("b.wav"))?, None);
        assert_eq!(skips.keep(Ok(()))?, Some(()));
        assert_eq!(skips.count(), 2);
        assert_eq!(
            skips.keep(broken("c.wav")).unwrap_err().to_string(),
            "c.wav: holds no text; give it some, or name another file (max_skipped = 2 others were left out before)"
        );
        Ok(())
    }
}
