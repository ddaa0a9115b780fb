//! One step of the long short-term memory. `extra` is the memory.

use super::cell::{Backward, Cell, Forward, get, put};
use crate::Real;
use crate::simd::{Kernel, Lanes};

pub(super) struct Lstm;

impl Cell for Lstm {
    const NAME: &'static str = "lstm";
    const GATES: usize = 4;
    const APART: bool = false;

    fn forward<T: Real>(rows: Forward<'_, T>) {
        T::dispatch(Ahead(rows));
    }

    fn backward<T: Real>(rows: Backward<'_, T>) {
        T::dispatch(Back(rows));
    }
}

struct Ahead<'a, T>(Forward<'a, T>);

impl<T: Real> Kernel<T> for Ahead<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let Forward {
            d,
            gates,
            hidden,
            extra_before,
            extra,
            states,
            ..
        } = self.0;
        let rows = gates
            .chunks_exact_mut(4 * d)
            .zip(hidden.chunks_exact(4 * d));
        let memory = extra_before.chunks_exact(d).zip(extra.chunks_exact_mut(d));
        for (((gates, hidden), (before, memory)), state) in
            rows.zip(memory).zip(states.chunks_exact_mut(d))
        {
            let [input, forget, new, output] = quarters_mut(gates, d);
            let [hidden_i, hidden_f, hidden_g, hidden_o] = quarters(hidden, d);
            for k in (0..d).step_by(L::N) {
                let i = lanes.sigmoid(lanes.add(get(lanes, input, k), get(lanes, hidden_i, k)));
                let f = lanes.sigmoid(lanes.add(get(lanes, forget, k), get(lanes, hidden_f, k)));
                let g = lanes.tanh(lanes.add(get(lanes, new, k), get(lanes, hidden_g, k)));
                let o = lanes.sigmoid(lanes.add(get(lanes, output, k), get(lanes, hidden_o, k)));
                let c = lanes.mul_add(f, get(lanes, before, k), lanes.mul(i, g));
                put(lanes, state, k, lanes.mul(o, lanes.tanh(c)));
                put(lanes, memory, k, c);
                put(lanes, input, k, i);
                put(lanes, forget, k, f);
                put(lanes, new, k, g);
                put(lanes, output, k, o);
            }
        }
    }
}

struct Back<'a, T>(Backward<'a, T>);

impl<T: Real> Kernel<T> for Back<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let Backward {
            d,
            gates,
            extra,
            extra_before,
            dstates,
            dextra,
            dgates,
            ..
        } = self.0;
        let one = lanes.constant(1.0);
        let saved = gates.chunks_exact(4 * d).zip(extra.chunks_exact(d));
        let saved = saved.zip(extra_before.chunks_exact(d));
        let grads = dgates
            .chunks_exact_mut(4 * d)
            .zip(dextra.chunks_exact_mut(d))
            .zip(dstates.chunks_exact_mut(d));
        for (((gates, memory), before), ((dgates, dmemory), dstate)) in saved.zip(grads) {
            let [input, forget, new, output] = quarters(gates, d);
            let [dinput, dforget, dnew, doutput] = quarters_mut(dgates, d);
            for k in (0..d).step_by(L::N) {
                let (i, f) = (get(lanes, input, k), get(lanes, forget, k));
                let (g, o) = (get(lanes, new, k), get(lanes, output, k));
                let dy = get(lanes, dstate, k);
                let bent = lanes.tanh(get(lanes, memory, k));
                let through = lanes.sub(one, lanes.mul(bent, bent));
                let passed = get(lanes, dmemory, k);
                let dc = lanes.mul_add(lanes.mul(dy, o), through, passed);
                put(
                    lanes,
                    dinput,
                    k,
                    lanes.mul(lanes.mul(dc, g), slope(lanes, i)),
                );
                let by_forget = lanes.mul(dc, get(lanes, before, k));
                put(lanes, dforget, k, lanes.mul(by_forget, slope(lanes, f)));
                let through_g = lanes.sub(one, lanes.mul(g, g));
                put(lanes, dnew, k, lanes.mul(lanes.mul(dc, i), through_g));
                put(
                    lanes,
                    doutput,
                    k,
                    lanes.mul(lanes.mul(dy, bent), slope(lanes, o)),
                );
                put(lanes, dmemory, k, lanes.mul(dc, f));
                put(lanes, dstate, k, lanes.zero());
            }
        }
    }
}

/// `gate (1 − gate)`, the derivative of the sigmoid that made it.
#[inline(always)]
fn slope<L: Lanes>(lanes: L, gate: L::V) -> L::V {
    lanes.mul(gate, lanes.sub(lanes.constant(1.0), gate))
}

fn quarters<T>(row: &[T], d: usize) -> [&[T]; 4] {
    let (first, second) = row.split_at(2 * d);
    let ((a, b), (c, e)) = (first.split_at(d), second.split_at(d));
    [a, b, c, e]
}

fn quarters_mut<T>(row: &mut [T], d: usize) -> [&mut [T]; 4] {
    let (first, second) = row.split_at_mut(2 * d);
    let ((a, b), (c, e)) = (first.split_at_mut(d), second.split_at_mut(d));
    [a, b, c, e]
}
