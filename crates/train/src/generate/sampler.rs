//! From logits to the next token.

use kernels::rng::{Domain, Key};

use crate::error::{Error, Result};

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplerOptions {
    /// Divides the logits: below 1 sharpens the distribution, above 1 flattens it, 0
    /// always takes the likeliest token.
    pub temperature: f64,
    /// Only the `top_k` likeliest tokens are drawn from; `None` for all.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together have this probability are drawn from;
    /// 1 for all. Holtzman et al. 2020 <https://arxiv.org/abs/1904.09751>.
    pub top_p: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            seed: 0,
        }
    }
}

/// Chooses tokens. A draw is a function of (seed, position) alone, so the same text comes
/// out whatever was computed before and by however many threads.
#[derive(Debug, Clone, Copy)]
pub struct Sampler {
    options: SamplerOptions,
}

impl Sampler {
    /// Creates a sampler.
    ///
    /// # Errors
    ///
    /// A negative or infinite `temperature`, a `top_k` of 0, a `top_p` outside `(0, 1]`.
    pub fn new(options: SamplerOptions) -> Result<Self> {
        let SamplerOptions {
            temperature,
            top_k,
            top_p,
            ..
        } = options;
        if !(0.0..=1e6).contains(&temperature) {
            return Err(Error::Usage(format!(
                "temperature = {temperature} is out of range; use 0 to 1000000"
            )));
        }
        if top_k == Some(0) {
            return Err(Error::Usage(
                "top-k = 0 leaves no token; use 1 or more".into(),
            ));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(Error::Usage(format!(
                "top-p = {top_p} is out of range; use more than 0, at most 1"
            )));
        }
        Ok(Self { options })
    }

    /// The token at `position` of the text, of those that `logits` are about.
    ///
    /// First `top_k` is applied, then `top_p` to the probabilities of what is left. Of
    /// equally likely tokens, the one with the lowest id comes first.
    ///
    /// # Errors
    ///
    /// If a logit is NaN or infinite.
    pub fn choose(&self, logits: &[f32], position: u64) -> Result<u32> {
        if let Some(value) = logits.iter().find(|logit| !logit.is_finite()) {
            return Err(Error::Data(format!(
                "the model gives a logit of {value}; its weights are damaged, use another checkpoint"
            )));
        }
        let candidates = self.candidates(logits);
        let weights = self.weights(logits, &candidates);
        let total: f64 = weights.iter().sum();
        let mut left = self.uniform(position) * total;
        for (&id, weight) in candidates.iter().zip(&weights) {
            left -= weight;
            if left < 0.0 {
                return Ok(id);
            }
        }
        // Rounding can leave a crumb behind the last candidate.
        let last = weights
            .len()
            .checked_sub(1)
            .and_then(|last| candidates.get(last));
        last.copied()
            .ok_or_else(|| Error::Data("the model has no tokens; use another".into()))
    }

    /// The ids that `top_k` leaves, the likeliest first.
    fn candidates(&self, logits: &[f32]) -> Vec<u32> {
        let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
        let likelier = |&a: &u32, &b: &u32| {
            logits[b as usize]
                .total_cmp(&logits[a as usize])
                .then(a.cmp(&b))
        };
        let kept = match self.options {
            SamplerOptions {
                temperature: 0.0, ..
            } => 1,
            SamplerOptions { top_k, .. } => top_k.unwrap_or(ids.len()),
        };
        if kept < ids.len() {
            ids.select_nth_unstable_by(kept - 1, likelier);
            ids.truncate(kept);
        }
        ids.sort_unstable_by(likelier);
        ids
    }

    /// The probabilities of the candidates that `top_p` leaves, times a constant.
    fn weights(&self, logits: &[f32], candidates: &[u32]) -> Vec<f64> {
        // With one candidate, which is all that temperature 0 leaves, nothing is divided.
        let temperature = if candidates.len() == 1 {
            1.0
        } else {
            self.options.temperature
        };
        let logit = |&id: &u32| f64::from(logits[id as usize]);
        let max = candidates.first().map_or(0.0, logit);
        let mut weights: Vec<f64> = candidates
            .iter()
            .map(|id| ((logit(id) - max) / temperature).exp())
            .collect();
        if self.options.top_p < 1.0 {
            let enough = self.options.top_p * weights.iter().sum::<f64>();
            let mut sum = 0.0;
            let kept = weights.iter().position(|weight| {
                sum += weight;
                sum >= enough
            });
            weights.truncate(kept.map_or(weights.len(), |last| last + 1));
        }
        weights
    }

    /// Uniform in `[0, 1)`, a multiple of 2⁻⁵³.
    fn uniform(&self, position: u64) -> f64 {
        let key = Key {
            seed: self.options.seed,
            domain: Domain::Sampling,
            step: 0,
            site: 0,
        };
        let [a, b, ..] = key.block(position);
        let bits = (u64::from(a) << 32 | u64::from(b)) >> 11;
        bits as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [1.0, 3.0, -2.0, 3.0, 0.5];

    fn sampler(options: SamplerOptions) -> Sampler {
        Sampler::new(options).unwrap()
    }

    /// How often each token is drawn, of `n` positions.
    fn shares(options: SamplerOptions, n: u64) -> Vec<f64> {
        let sampler = sampler(options);
        let mut counts = vec![0.0; LOGITS.len()];
        for position in 0..n {
            counts[sampler.choose(&LOGITS, position).unwrap() as usize] += 1.0 / n as f64;
        }
        counts
    }

    #[test]
    fn draws_follow_the_softmax_at_any_temperature() {
        for temperature in [0.5, 1.0, 3.0] {
            let n = 20_000;
            let got = shares(
                SamplerOptions {
                    temperature,
                    ..Default::default()
                },
                n,
            );
            let weights: Vec<f64> = LOGITS
                .iter()
                .map(|&logit| (f64::from(logit) / temperature).exp())
                .collect();
            let total: f64 = weights.iter().sum();
            for (id, (got, weight)) in got.iter().zip(&weights).enumerate() {
                let want = weight / total;
                let error = (want * (1.0 - want) / n as f64).sqrt();
                assert!(
                    (got - want).abs() < 5.0 * error,
                    "{id} at {temperature}: {got}, not {want}"
                );
            }
        }
    }

    #[test]
    fn temperature_zero_takes_the_likeliest_and_of_equals_the_first() {
        let greedy = sampler(SamplerOptions {
            temperature: 0.0,
            ..Default::default()
        });
        for position in 0..100 {
            assert_eq!(greedy.choose(&LOGITS, position).unwrap(), 1);
        }
    }

    #[test]
    fn a_very_low_temperature_does_not_overflow() {
        let cold = SamplerOptions {
            temperature: 1e-300,
            ..Default::default()
        };
        let counts = shares(cold, 100);
        assert!((counts[1] + counts[3] - 1.0).abs() < 1e-9, "{counts:?}");
    }

    #[test]
    fn top_k_and_top_p_leave_the_likeliest_only() {
        let n = 5_000;
        let of = |top_k, top_p| {
            shares(
                SamplerOptions {
                    top_k,
                    top_p,
                    ..Default::default()
                },
                n,
            )
        };
        let drawn = |shares: Vec<f64>| -> Vec<usize> {
            (0..shares.len()).filter(|&id| shares[id] > 0.0).collect()
        };
        assert_eq!(drawn(of(Some(1), 1.0)), [1]);
        assert_eq!(drawn(of(Some(2), 1.0)), [1, 3]);
        assert_eq!(drawn(of(Some(3), 1.0)), [0, 1, 3]);
        assert_eq!(drawn(of(Some(99), 1.0)), [0, 1, 2, 3, 4]);
        // Probabilities of 1 and 3: 0.45 each; of 0: 0.06.
        assert_eq!(drawn(of(None, 0.4)), [1]);
        assert_eq!(drawn(of(None, 0.8)), [1, 3]);
        assert_eq!(drawn(of(None, 0.95)), [0, 1, 3]);
        assert_eq!(drawn(of(Some(1), 0.95)), [1]);
        assert_eq!(drawn(of(None, f64::MIN_POSITIVE)), [1]);
    }

    #[test]
    fn a_draw_depends_on_seed_and_position_alone() {
        let of = |seed| {
            let sampler = sampler(SamplerOptions {
                seed,
                ..Default::default()
            });
            move |position| sampler.choose(&LOGITS, position).unwrap()
        };
        let one: Vec<u32> = (0..64).map(of(1)).collect();
        let mut backwards: Vec<u32> = (0..64).rev().map(of(1)).collect();
        backwards.reverse();
        assert_eq!(one, backwards);
        assert_ne!(one, (0..64).map(of(2)).collect::<Vec<_>>());
    }

    #[test]
    fn options_and_logits_that_make_no_sense_are_refused() {
        let options = SamplerOptions::default();
        for refused in [
            SamplerOptions {
                temperature: -1.0,
                ..options
            },
            SamplerOptions {
                temperature: f64::NAN,
                ..options
            },
            SamplerOptions {
                top_k: Some(0),
                ..options
            },
            SamplerOptions {
                top_p: 0.0,
                ..options
            },
            SamplerOptions {
                top_p: 1.5,
                ..options
            },
            SamplerOptions {
                top_p: f64::NAN,
                ..options
            },
        ] {
            assert!(
                matches!(Sampler::new(refused), Err(Error::Usage(_))),
                "{refused:?}"
            );
        }
        for logit in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(sampler(options).choose(&[0.0, logit], 0).is_err());
        }
        assert!(sampler(options).choose(&[], 0).is_err());
    }
}
