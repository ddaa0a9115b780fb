//! Loops over slices: whole vectors, then one partial vector.
//!
//! Each calls its closure in two places. A closure of more than a few operations
//! must say `#[inline(always)]`: else it is compiled by itself, for no instruction
//! set, and each operation becomes a call, at a fiftieth of the speed.

use super::{Kernel, Lanes, Real};

/// `y = f(x)`
#[inline(always)]
pub(crate) fn map<L: Lanes>(lanes: L, x: &[L::Elem], y: &mut [L::Elem], f: impl Fn(L::V) -> L::V) {
    let n = x.len();
    assert_eq!(n, y.len());
    let whole = n - n % L::N;
    for i in (0..whole).step_by(L::N) {
        lanes.store(&mut y[i..], f(lanes.load(&x[i..])));
    }
    if whole < n {
        lanes.store_partial(&mut y[whole..], f(lanes.load_partial(&x[whole..])));
    }
}

/// `y = f(y)`
#[inline(always)]
pub(crate) fn map1<L: Lanes>(lanes: L, y: &mut [L::Elem], f: impl Fn(L::V) -> L::V) {
    let whole = y.len() - y.len() % L::N;
    for i in (0..whole).step_by(L::N) {
        let v = f(lanes.load(&y[i..]));
        lanes.store(&mut y[i..], v);
    }
    if whole < y.len() {
        let v = f(lanes.load_partial(&y[whole..]));
        lanes.store_partial(&mut y[whole..], v);
    }
}

/// `y = f(y, x)`
#[inline(always)]
pub(crate) fn map2<L: Lanes>(
    lanes: L,
    y: &mut [L::Elem],
    x: &[L::Elem],
    f: impl Fn(L::V, L::V) -> L::V,
) {
    let n = x.len();
    assert_eq!(n, y.len());
    let whole = n - n % L::N;
    for i in (0..whole).step_by(L::N) {
        let v = f(lanes.load(&y[i..]), lanes.load(&x[i..]));
        lanes.store(&mut y[i..], v);
    }
    if whole < n {
        let v = f(
            lanes.load_partial(&y[whole..]),
            lanes.load_partial(&x[whole..]),
        );
        lanes.store_partial(&mut y[whole..], v);
    }
}

/// `y = f(a, b)`
#[inline(always)]
pub(crate) fn map3<L: Lanes>(
    lanes: L,
    a: &[L::Elem],
    b: &[L::Elem],
    y: &mut [L::Elem],
    f: impl Fn(L::V, L::V) -> L::V,
) {
    let n = y.len();
    assert!(a.len() == n && b.len() == n);
    let whole = n - n % L::N;
    for i in (0..whole).step_by(L::N) {
        lanes.store(&mut y[i..], f(lanes.load(&a[i..]), lanes.load(&b[i..])));
    }
    if whole < n {
        let v = f(
            lanes.load_partial(&a[whole..]),
            lanes.load_partial(&b[whole..]),
        );
        lanes.store_partial(&mut y[whole..], v);
    }
}

/// `y = f(y, a, b)`
#[inline(always)]
pub(crate) fn update<L: Lanes>(
    lanes: L,
    y: &mut [L::Elem],
    a: &[L::Elem],
    b: &[L::Elem],
    f: impl Fn(L::V, L::V, L::V) -> L::V,
) {
    let n = y.len();
    assert!(a.len() == n && b.len() == n);
    let whole = n - n % L::N;
    for i in (0..whole).step_by(L::N) {
        let (a, b) = (lanes.load(&a[i..]), lanes.load(&b[i..]));
        let v = f(lanes.load(&y[i..]), a, b);
        lanes.store(&mut y[i..], v);
    }
    if whole < n {
        let (a, b) = (
            lanes.load_partial(&a[whole..]),
            lanes.load_partial(&b[whole..]),
        );
        let v = f(lanes.load_partial(&y[whole..]), a, b);
        lanes.store_partial(&mut y[whole..], v);
    }
}

/// `y = f(y)`, and then `Σ g(y)`; `g` must map zero to zero (the lanes past the end).
#[inline(always)]
pub(crate) fn map1_sum_by<L: Lanes>(
    lanes: L,
    y: &mut [L::Elem],
    f: impl Fn(L::V) -> L::V,
    g: impl Fn(L::V) -> L::V,
) -> L::Elem {
    let whole = y.len() - y.len() % L::N;
    let mut total = lanes.zero();
    for i in (0..whole).step_by(L::N) {
        let v = f(lanes.load(&y[i..]));
        lanes.store(&mut y[i..], v);
        total = lanes.add(total, g(v));
    }
    if whole < y.len() {
        let v = f(lanes.load_partial(&y[whole..]));
        lanes.store_partial(&mut y[whole..], v);
        total = lanes.add(total, g(lanes.load_partial(&y[whole..])));
    }
    lanes.sum(total)
}

/// `Σ x`, in an order that depends on the vector width only.
#[inline(always)]
pub(crate) fn sum<L: Lanes>(lanes: L, x: &[L::Elem]) -> L::Elem {
    sum_by(lanes, x, |v| v)
}

/// `Σ f(x)`; `f` must map zero to zero (the lanes past the end).
#[inline(always)]
pub(crate) fn sum_by<L: Lanes>(lanes: L, x: &[L::Elem], f: impl Fn(L::V) -> L::V) -> L::Elem {
    let whole = x.len() - x.len() % L::N;
    let mut total = lanes.zero();
    for i in (0..whole).step_by(L::N) {
        total = lanes.add(total, f(lanes.load(&x[i..])));
    }
    if whole < x.len() {
        total = lanes.add(total, f(lanes.load_partial(&x[whole..])));
    }
    lanes.sum(total)
}

/// `Σ a·b`
#[inline(always)]
pub(crate) fn sum_of_products<L: Lanes>(lanes: L, a: &[L::Elem], b: &[L::Elem]) -> L::Elem {
    assert_eq!(a.len(), b.len());
    let whole = a.len() - a.len() % L::N;
    let mut total = lanes.zero();
    for i in (0..whole).step_by(L::N) {
        total = lanes.mul_add(lanes.load(&a[i..]), lanes.load(&b[i..]), total);
    }
    if whole < a.len() {
        total = lanes.mul_add(
            lanes.load_partial(&a[whole..]),
            lanes.load_partial(&b[whole..]),
            total,
        );
    }
    lanes.sum(total)
}

/// `Σ a·b·c`
#[inline(always)]
pub(crate) fn sum_of_products3<L: Lanes>(
    lanes: L,
    a: &[L::Elem],
    b: &[L::Elem],
    c: &[L::Elem],
) -> L::Elem {
    let n = a.len();
    assert!(b.len() == n && c.len() == n);
    let whole = n - n % L::N;
    let mut total = lanes.zero();
    for i in (0..whole).step_by(L::N) {
        let ab = lanes.mul(lanes.load(&a[i..]), lanes.load(&b[i..]));
        total = lanes.mul_add(ab, lanes.load(&c[i..]), total);
    }
    if whole < n {
        let ab = lanes.mul(
            lanes.load_partial(&a[whole..]),
            lanes.load_partial(&b[whole..]),
        );
        total = lanes.mul_add(ab, lanes.load_partial(&c[whole..]), total);
    }
    lanes.sum(total)
}

/// The largest of `x`, which may not be empty. A NaN may be overlooked.
#[inline(always)]
pub(crate) fn max<L: Lanes>(lanes: L, x: &[L::Elem]) -> L::Elem {
    let n = x.len();
    if n < L::N {
        return x[1..]
            .iter()
            .fold(x[0], |max, &x| if x > max { x } else { max });
    }
    let mut largest = lanes.load(&x[n - L::N..]);
    for i in (0..n - L::N).step_by(L::N) {
        largest = lanes.max(largest, lanes.load(&x[i..]));
    }
    lanes.max_lane(largest)
}

/// `into (+)= from`
pub(crate) fn write<T: Real>(from: &[T], into: &mut [T], accumulate: bool) {
    if accumulate {
        T::dispatch(Add { from, into });
    } else {
        into.copy_from_slice(from);
    }
}

struct Add<'a, T> {
    from: &'a [T],
    into: &'a mut [T],
}

impl<T: Real> Kernel<T> for Add<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        map2(lanes, self.into, self.from, |sum, x| lanes.add(sum, x));
    }
}
