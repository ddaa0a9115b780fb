//! One step of the gated recurrent unit. `extra` is the state's part of the new memory.

use super::cell::{Backward, Cell, Forward, get, put};
use crate::Real;
use crate::simd::{Kernel, Lanes};

pub(super) struct Gru;

impl Cell for Gru {
    const NAME: &'static str = "gru";
    const GATES: usize = 3;
    const APART: bool = true;

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
            before,
            extra,
            states,
            ..
        } = self.0;
        let rows = gates
            .chunks_exact_mut(3 * d)
            .zip(hidden.chunks_exact(3 * d));
        let before = before.chunks_exact(d).zip(extra.chunks_exact_mut(d));
        for (((gates, hidden), (before, extra)), state) in
            rows.zip(before).zip(states.chunks_exact_mut(d))
        {
            let (r, rest) = gates.split_at_mut(d);
            let (z, m) = rest.split_at_mut(d);
            let (hidden_r, rest) = hidden.split_at(d);
            let (hidden_z, hidden_m) = rest.split_at(d);
            for i in (0..d).step_by(L::N) {
                let reset = lanes.sigmoid(lanes.add(get(lanes, r, i), get(lanes, hidden_r, i)));
                let keep = lanes.sigmoid(lanes.add(get(lanes, z, i), get(lanes, hidden_z, i)));
                let of_state = get(lanes, hidden_m, i);
                let memory = lanes.tanh(lanes.mul_add(reset, of_state, get(lanes, m, i)));
                let change = lanes.sub(get(lanes, before, i), memory);
                put(lanes, state, i, lanes.mul_add(keep, change, memory));
                put(lanes, r, i, reset);
                put(lanes, z, i, keep);
                put(lanes, m, i, memory);
                put(lanes, extra, i, of_state);
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
            before,
            dstates,
            dgates,
            dhidden,
            ..
        } = self.0;
        let one = lanes.constant(1.0);
        let saved = gates.chunks_exact(3 * d).zip(extra.chunks_exact(d));
        let saved = saved.zip(before.chunks_exact(d));
        let grads = dgates
            .chunks_exact_mut(3 * d)
            .zip(dhidden.chunks_exact_mut(3 * d))
            .zip(dstates.chunks_exact_mut(d));
        for (((gates, of_state), before), ((dgates, dhidden), dstate)) in saved.zip(grads) {
            let (r, rest) = gates.split_at(d);
            let (z, m) = rest.split_at(d);
            let (dr, rest) = dgates.split_at_mut(d);
            let (dz, dm) = rest.split_at_mut(d);
            let (dhidden_r, rest) = dhidden.split_at_mut(d);
            let (dhidden_z, dhidden_m) = rest.split_at_mut(d);
            for i in (0..d).step_by(L::N) {
                let (r, z, m) = (get(lanes, r, i), get(lanes, z, i), get(lanes, m, i));
                let dy = get(lanes, dstate, i);
                let change = lanes.sub(get(lanes, before, i), m);
                let through_z = lanes.mul(z, lanes.sub(one, z));
                let by_z = lanes.mul(lanes.mul(dy, change), through_z);
                let through_m = lanes.sub(one, lanes.mul(m, m));
                let by_m = lanes.mul(lanes.mul(dy, lanes.sub(one, z)), through_m);
                let through_r = lanes.mul(r, lanes.sub(one, r));
                let by_r = lanes.mul(lanes.mul(by_m, get(lanes, of_state, i)), through_r);
                put(lanes, dr, i, by_r);
                put(lanes, dz, i, by_z);
                put(lanes, dm, i, by_m);
                put(lanes, dhidden_r, i, by_r);
                put(lanes, dhidden_z, i, by_z);
                put(lanes, dhidden_m, i, lanes.mul(by_m, r));
                put(lanes, dstate, i, lanes.mul(dy, z));
            }
        }
    }
}
