//! The loops of the non-linearities on slices.

use crate::parallel::{pieces_mut, rows_mut_with};
use crate::simd::{Kernel, Lanes, map, map2, map3};
use crate::{Activation, Real};

pub(super) fn activate<T: Real>(f: Activation, x: &[T], y: &mut [T]) {
    pieces_mut(y, |first, y| {
        let x = &x[first..first + y.len()];
        T::dispatch(Forward { f, x, y });
    });
}

pub(super) fn activate_backward<T: Real>(f: Activation, x: &[T], dy: &[T], dx: &mut [T]) {
    pieces_mut(dx, |first, dx| {
        let at = first..first + dx.len();
        let (x, dy) = (&x[at.clone()], &dy[at]);
        T::dispatch(BackwardPiece { f, x, dy, dx });
    });
}

pub(super) fn swiglu<T: Real>(gate: &[T], up: &[T], y: &mut [T]) {
    pieces_mut(y, |first, y| {
        let at = first..first + y.len();
        let (gate, up) = (&gate[at.clone()], &up[at]);
        T::dispatch(Swiglu { gate, up, y });
    });
}

pub(super) fn swiglu_backward<T: Real>(
    gate: &[T],
    up: &[T],
    dy: &[T],
    dgate: &mut [T],
    dup: &mut [T],
) {
    rows_mut_with(dgate, 1, dup, |first, dgate, dup| {
        let at = first..first + dgate.len();
        T::dispatch(SwigluBackward {
            gate: &gate[at.clone()],
            up: &up[at.clone()],
            dy: &dy[at],
            dgate,
            dup,
        });
    });
}

struct Forward<'a, T> {
    f: Activation,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Real> Kernel<T> for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        map(
            lanes,
            self.x,
            self.y,
            #[inline(always)]
            |x| self.f.apply(lanes, x),
        );
    }
}

struct BackwardPiece<'a, T> {
    f: Activation,
    x: &'a [T],
    dy: &'a [T],
    dx: &'a mut [T],
}

impl<T: Real> Kernel<T> for BackwardPiece<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        map3(
            lanes,
            self.x,
            self.dy,
            self.dx,
            #[inline(always)]
            |x, dy| {
                let [_, slope] = self.f.with_derivative(lanes, x);
                lanes.mul(dy, slope)
            },
        );
    }
}

const GATE: Activation = Activation::Silu;

struct Swiglu<'a, T> {
    gate: &'a [T],
    up: &'a [T],
    y: &'a mut [T],
}

impl<T: Real> Kernel<T> for Swiglu<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        map3(
            lanes,
            self.gate,
            self.up,
            self.y,
            #[inline(always)]
            |gate, up| lanes.mul(GATE.apply(lanes, gate), up),
        );
    }
}

struct SwigluBackward<'a, T> {
    gate: &'a [T],
    up: &'a [T],
    dy: &'a [T],
    dgate: &'a mut [T],
    dup: &'a mut [T],
}

impl<T: Real> Kernel<T> for SwigluBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        map3(
            lanes,
            self.gate,
            self.dy,
            self.dup,
            #[inline(always)]
            |gate, dy| lanes.mul(dy, GATE.apply(lanes, gate)),
        );
        map3(lanes, self.up, self.dy, self.dgate, |up, dy| {
            lanes.mul(up, dy)
        });
        map2(
            lanes,
            self.dgate,
            self.gate,
            #[inline(always)]
            |dy, gate| {
                let [_, slope] = GATE.with_derivative(lanes, gate);
                lanes.mul(dy, slope)
            },
        );
    }
}
