//! All alignments of one sequence at once.
//!
//! A state is a place in the labels with blanks between, before and behind them: state
//! `2u + 1` is label `u`, the even states are blanks. An alignment stays, moves on by one
//! state, or by two where that passes over a blank between different labels (Graves et
//! al. 2006, §4.1).

/// Probabilities of the paths from the first frame to every state, in logarithms.
pub(super) struct Lattice<'a> {
    labels: &'a [u32],
    /// `ln p` of the blank and of each label, frame after frame.
    emissions: &'a [f64],
    /// `ln` of the summed probability of all ways to be in a state at a frame, its
    /// emission counted; frame after frame.
    ahead: Vec<f64>,
}

impl<'a> Lattice<'a> {
    pub(super) fn new(labels: &'a [u32], emissions: &'a [f64]) -> Self {
        let n_states = 2 * labels.len() + 1;
        let n_frames = emissions.len() / (labels.len() + 1);
        let mut lattice = Self {
            labels,
            emissions,
            ahead: vec![f64::NEG_INFINITY; n_frames * n_states],
        };
        for frame in 0..n_frames {
            let (past, now) = lattice.ahead.split_at_mut(frame * n_states);
            let past = past.get(past.len().saturating_sub(n_states)..);
            let past = past.filter(|past| !past.is_empty());
            for (state, now) in now[..n_states].iter_mut().enumerate() {
                let reached = match past {
                    // The first frame is in the first blank or the first label.
                    None if state < 2 => 0.0,
                    None => f64::NEG_INFINITY,
                    Some(past) => log_sum(
                        past[state],
                        before(past, state, 1),
                        match skips(labels, state) {
                            true => before(past, state, 2),
                            false => f64::NEG_INFINITY,
                        },
                    ),
                };
                *now = reached + emission(labels, emissions, frame, state);
            }
        }
        lattice
    }

    fn n_states(&self) -> usize {
        2 * self.labels.len() + 1
    }

    fn n_frames(&self) -> usize {
        self.emissions.len() / (self.labels.len() + 1)
    }

    /// `−ln` of the summed probability of all alignments: an alignment ends in the last
    /// label or in the blank behind it.
    pub(super) fn loss(&self) -> f64 {
        let n_states = self.n_states();
        let Some(end) = self.ahead.len().checked_sub(n_states) else {
            return 0.0; // no frame, no label: one alignment, the empty one
        };
        let end = &self.ahead[end..];
        -log_sum(
            end[n_states - 1],
            before(end, n_states - 1, 1),
            f64::NEG_INFINITY,
        )
    }

    /// Calls `visit(frame, shares)` for every frame, the last first: the share of the
    /// alignments, by probability, that are in a blank, then in each label, then.
    ///
    /// The loss must be finite.
    pub(super) fn visit(&self, mut visit: impl FnMut(usize, &[f64])) {
        let (n_states, n_frames) = (self.n_states(), self.n_frames());
        let log_total = -self.loss();
        // `ln` of the summed probability of all ways from a state to the end, its own
        // emission not counted.
        let mut behind = vec![f64::NEG_INFINITY; n_states];
        behind[n_states.saturating_sub(2)..].fill(0.0);
        let mut after = vec![0.0; n_states];
        let mut shares = vec![0.0; self.labels.len() + 1];
        for frame in (0..n_frames).rev() {
            if frame + 1 < n_frames {
                for (state, after) in after.iter_mut().enumerate() {
                    let emission = emission(self.labels, self.emissions, frame + 1, state);
                    *after = behind[state] + emission;
                }
                for (state, behind) in behind.iter_mut().enumerate() {
                    let at = |state: usize| after.get(state).copied();
                    let skip = at(state + 2).filter(|_| skips(self.labels, state + 2));
                    let [step, skip] =
                        [at(state + 1), skip].map(|x| x.unwrap_or(f64::NEG_INFINITY));
                    *behind = log_sum(after[state], step, skip);
                }
            }
            shares.fill(0.0);
            let ahead = &self.ahead[frame * n_states..(frame + 1) * n_states];
            for (state, (ahead, behind)) in ahead.iter().zip(&behind).enumerate() {
                shares[column(state)] += (ahead + behind - log_total).exp();
            }
            visit(frame, &shares);
        }
    }
}

/// The column of a state's symbol: the blank's is 0.
fn column(state: usize) -> usize {
    match state % 2 {
        0 => 0,
        _ => state / 2 + 1,
    }
}

fn emission(labels: &[u32], emissions: &[f64], frame: usize, state: usize) -> f64 {
    emissions[frame * (labels.len() + 1) + column(state)]
}

/// Whether an alignment may come to `state` from two states before it.
fn skips(labels: &[u32], state: usize) -> bool {
    state % 2 == 1 && state >= 3 && labels[state / 2] != labels[state / 2 - 1]
}

fn before(states: &[f64], state: usize, by: usize) -> f64 {
    match state.checked_sub(by) {
        Some(state) => states[state],
        None => f64::NEG_INFINITY,
    }
}

/// `ln(e^a + e^b + e^c)`
fn log_sum(a: f64, b: f64, c: f64) -> f64 {
    let largest = a.max(b).max(c);
    if largest == f64::NEG_INFINITY {
        return a + b + c; // that, or NaN
    }
    largest + ((a - largest).exp() + (b - largest).exp() + (c - largest).exp()).ln()
}
