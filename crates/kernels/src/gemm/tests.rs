use candle_core::Result;
use testkit::randn;

use super::*;

/// `Σ a[i, p] b[p, j]`, with rows of `a` and `b` at their own widths.
fn definition(
    a: impl Fn(usize, usize) -> f64,
    b: impl Fn(usize, usize) -> f64,
    (m, n, k): (usize, usize, usize),
) -> Vec<f64> {
    let at = |i: usize, j: usize| (0..k).map(|p| a(i, p) * b(p, j)).sum();
    (0..m * n).map(|at_| at(at_ / n, at_ % n)).collect()
}

/// What a result holds before a product is written or added to it.
const HELD: f64 = 7.0;

/// The first `n` columns of `y`, whose rows are `width` wide, are `want`; the others still
/// hold what they held.
fn check_rows(
    y: &[f64],
    width: usize,
    want: &[f64],
    n: usize,
    tolerance: f64,
    shape: (usize, usize, usize),
) {
    for (i, row) in y.chunks(width).enumerate() {
        for (j, &got) in row.iter().enumerate() {
            let want = if j < n { want[i * n + j] } else { HELD };
            let place = (shape, i, j);
            assert!(
                (got - want).abs() < tolerance,
                "{place:?}: {got}, want {want}"
            );
        }
    }
}

const SIZES: [(usize, usize, usize); 8] = [
    (1, 1, 1),
    (1, 17, 3),
    (65, 1, 17),
    (3, 65, 1),
    (17, 17, 17),
    (70, 90, 130),
    (5, 4, 0),
    (0, 3, 2),
];

#[test]
fn views_multiply_as_the_matrices_they_show() -> Result<()> {
    for (m, n, k) in SIZES {
        // Both operands and the result are columns of wider matrices.
        let (wide_a, wide_b, wide_y) = (k + 3, n + 5, n + 2);
        let a = randn(1, m * wide_a)?.to_vec1::<f64>()?;
        let b = randn(2, k * wide_b)?.to_vec1::<f64>()?;
        let want = definition(
            |i, p| a[i * wide_a + p],
            |p, j| b[p * wide_b + j],
            (m, n, k),
        );
        for accumulate in [false, true] {
            let mut y = vec![HELD; m * wide_y];
            gemm(
                Precision::F32,
                MatMut::columns_of(&mut y, m, n, wide_y),
                accumulate,
                Mat::columns_of(&a, m, k, wide_a),
                Mat::columns_of(&b, k, n, wide_b),
            );
            let before = if accumulate { HELD } else { 0.0 };
            let want = want.iter().map(|x| x + before).collect::<Vec<_>>();
            check_rows(&y, wide_y, &want, n, 1e-12, (m, n, k));
        }
    }
    Ok(())
}

#[test]
fn transposes_are_views() -> Result<()> {
    for (m, n, k) in SIZES {
        let a = randn(1, k * m)?.to_vec1::<f64>()?;
        let b = randn(2, n * k)?.to_vec1::<f64>()?;
        let want = definition(|i, p| a[p * m + i], |p, j| b[j * k + p], (m, n, k));
        let single = |x: &[f64]| -> Vec<f32> { x.iter().map(|&x| x as f32).collect() };
        let (a32, b32) = (single(&a), single(&b));
        let y = product(
            Precision::F32,
            Mat::new(&a, k, m).t(),
            Mat::new(&b, n, k).t(),
        );
        let y32 = product(
            Precision::F32,
            Mat::new(&a32, k, m).t(),
            Mat::new(&b32, n, k).t(),
        );
        assert_eq!([y.len(), y32.len()], [m * n; 2]);
        for ((y, y32), want) in y.iter().zip(&y32).zip(&want) {
            assert!((y - want).abs() < 1e-12, "{y}, want {want}");
            // 130 roundings of sums of up to 30, which have half an ulp of 1e-6: √130 of
            // these, and three times that among 6300 results.
            let error = (f64::from(*y32) - want).abs();
            assert!(error < 3.5e-5, "{y32}, want {want}");
        }
    }
    Ok(())
}

#[test]
fn sums_that_are_cut_are_whole() -> Result<()> {
    // Below the shortest that is cut, at it, of odd length, and too wide to be cut.
    for (m, n, k) in [(3, 5, 511), (3, 5, 512), (70, 33, 1031), (600, 2, 599)] {
        let (wide_a, wide_b, wide_y) = (m + 3, n + 5, n + 2);
        let a = randn(1, k * wide_a)?.to_vec1::<f64>()?;
        let b = randn(2, k * wide_b)?.to_vec1::<f64>()?;
        let want = definition(
            |i, p| a[p * wide_a + i],
            |p, j| b[p * wide_b + j],
            (m, n, k),
        );
        for accumulate in [false, true] {
            let mut y = vec![HELD; (m - 1) * wide_y + n];
            gemm(
                Precision::F32,
                MatMut::columns_of(&mut y, m, n, wide_y),
                accumulate,
                Mat::columns_of(&a, k, m, wide_a).t(),
                Mat::columns_of(&b, k, n, wide_b),
            );
            let before = if accumulate { HELD } else { 0.0 };
            let want = want.iter().map(|x| x + before).collect::<Vec<_>>();
            check_rows(&y, wide_y, &want, n, 1e-11, (m, n, k));
        }
    }
    Ok(())
}

#[test]
fn a_row_meets_every_row_of_a_matrix() -> Result<()> {
    // Below one vector, whole groups of vectors and a rest, and rows for several tasks.
    for (n, k) in [(3, 5), (5, 256), (301, 270), (1, 1030)] {
        let wide_b = k + 7;
        let x = randn(1, k)?.to_vec1::<f64>()?;
        let b = randn(2, n * wide_b)?.to_vec1::<f64>()?;
        let want = definition(|_, p| x[p], |p, j| b[j * wide_b + p], (1, n, k));
        for accumulate in [false, true] {
            let mut y = vec![HELD; n + 2];
            gemm(
                Precision::F32,
                MatMut::columns_of(&mut y, 1, n, n + 2),
                accumulate,
                Mat::new(&x, 1, k),
                Mat::columns_of(&b, n, k, wide_b).t(),
            );
            let before = if accumulate { HELD } else { 0.0 };
            let want = want.iter().map(|x| x + before).collect::<Vec<_>>();
            check_rows(&y, n + 2, &want, n, 1e-11, (1, n, k));
        }
    }
    Ok(())
}

/// The nearest `bf16`, of two that are as near the one whose last bit is 0.
fn rounded(x: f32) -> f64 {
    let bits = x.to_bits();
    let to_even = 0x7fff + (bits >> 16 & 1);
    f64::from(f32::from_bits((bits + to_even) & 0xffff_0000))
}

fn single(seed: u64, len: usize) -> Result<Vec<f32>> {
    let x = randn(seed, len)?.to_vec1::<f64>()?;
    Ok(x.into_iter().map(|x| x as f32).collect())
}

/// `rows × cols` of `x`, which may hold the transpose, in rows that are `wide` wider.
fn view(x: &[f32], rows: usize, cols: usize, turned: bool, wide: usize) -> Mat<'_, f32> {
    match turned {
        true => Mat::columns_of(x, cols, rows, rows + wide).t(),
        false => Mat::columns_of(x, rows, cols, cols + wide),
    }
}

/// Products of `f32` are those of their factors, each as `seen`.
fn check_singles(
    precision: Precision,
    seen: fn(f32) -> f64,
    sizes: impl IntoIterator<Item = (usize, usize, usize)>,
) -> Result<()> {
    let (wide, before) = (3, 7.0);
    for (m, n, k) in sizes {
        let (wide_y, tail) = (n + 3, 5);
        for (t_a, t_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let a = single(1, (m + wide) * (k + wide))?;
            let b = single(2, (k + wide) * (n + wide))?;
            let (a, b) = (view(&a, m, k, t_a, wide), view(&b, k, n, t_b, wide));
            let at = |x: &Mat<'_, f32>, i: usize, j: usize| {
                seen(x.data[i * x.row_stride + j * x.col_stride])
            };
            let want = definition(|i, p| at(&a, i, p), |p, j| at(&b, p, j), (m, n, k));
            for accumulate in [false, true] {
                let mut y = vec![before; m * wide_y + tail];
                let dst = MatMut::columns_of(&mut y, m, n, wide_y);
                gemm(precision, dst, accumulate, a, b);
                for (i, row) in y.chunks(wide_y).enumerate() {
                    for (j, &got) in row.iter().enumerate() {
                        let want = match i < m && j < n {
                            true => want[i * n + j] + if accumulate { 7.0 } else { 0.0 },
                            false => 7.0,
                        };
                        // Roundings of a sum that wanders √k far, √k of them.
                        let error = (f64::from(got) - want).abs();
                        let most = 1e-6 * (8.0 + k as f64);
                        let turned = (t_a, t_b);
                        assert!(
                            error < most,
                            "{m}×{n}×{k} {turned:?} at {i}, {j}: {got}, want {want}"
                        );
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn factors_are_rounded_and_sums_are_not() -> Result<()> {
    if !Precision::Bf16.is_supported() {
        return Ok(());
    }
    // Across the ends of tiles, of panels, of stretches of the sum and of what is packed
    // at one time.
    let sizes = [
        (12, 32, 2),
        (13, 16, 511),
        (11, 17, 513),
        (25, 48, 1030),
        (150, 5, 31),
        (1, 33, 4099),
    ];
    check_singles(Precision::Bf16, rounded, SIZES.into_iter().chain(sizes))
}

#[test]
fn products_of_every_shape_are_those_of_their_definition() -> Result<()> {
    // As above; and fewest rows, terms and columns, and rows and columns of several tasks.
    let sizes = [
        (64, 64, 256),
        (63, 16, 64),
        (64, 15, 63),
        (97, 65, 257),
        (70, 130, 40),
        (65, 1, 300),
        (6, 64, 64),
        (7, 97, 130),
        (301, 530, 70),
        (64, 520, 2100),
    ];
    check_singles(Precision::F32, f64::from, SIZES.into_iter().chain(sizes))
}

/// What follows a product sees every row of it once, whole, and zeros beside.
fn check_what_follows<T: Real>(precision: Precision) -> Result<()> {
    for (m, n, k) in SIZES.into_iter().chain([(97, 65, 257), (200, 600, 70)]) {
        for (t_a, t_b) in [(false, true), (true, false)] {
            let numbers = |seed, len| -> Result<Vec<T>> {
                let x = randn(seed, len)?.to_vec1::<f64>()?;
                Ok(x.into_iter().map(T::from_f64).collect())
            };
            let (a, b) = (numbers(1, m * k)?, numbers(2, k * n)?);
            let a = if t_a {
                Mat::new(&a, k, m).t()
            } else {
                Mat::new(&a, m, k)
            };
            let b = if t_b {
                Mat::new(&b, n, k).t()
            } else {
                Mat::new(&b, k, n)
            };
            let plain = product(precision, a, b);
            let number = |first: usize, i: usize| T::from_f64((first * n + i) as f64);
            let then = |first: usize, rows: &mut [T]| {
                for (i, y) in rows.iter_mut().enumerate() {
                    *y += number(first, i);
                }
            };
            let after = product_then(precision, a, b, then);
            let [doubled, beside] = product_beside(precision, a, b, |first, rows, beside| {
                assert_eq!(rows.len(), beside.len());
                for (i, (y, beside)) in rows.iter_mut().zip(beside).enumerate() {
                    assert!(*beside == T::zero());
                    *beside = *y + number(first, i);
                    *y += *y;
                }
            });
            assert_eq!([after.len(), doubled.len(), beside.len()], [m * n; 3]);
            for (i, &y) in plain.iter().enumerate() {
                assert!(after[i] == y + number(0, i), "{m}×{n}×{k} at {i}");
                assert!(beside[i] == after[i] && doubled[i] == y + y);
            }
        }
    }
    Ok(())
}

#[test]
fn what_follows_a_product_sees_each_row_once() -> Result<()> {
    check_what_follows::<f64>(Precision::F32)?;
    check_what_follows::<f32>(Precision::F32)?;
    if Precision::Bf16.is_supported() {
        check_what_follows::<f32>(Precision::Bf16)?;
    }
    Ok(())
}

#[test]
fn products_do_not_depend_on_threads() -> Result<()> {
    let precisions = [Precision::F32, Precision::Bf16];
    for precision in precisions.into_iter().filter(|p| p.is_supported()) {
        for (m, n, k) in [
            (301, 67, 700),
            (700, 130, 90),
            (20, 70, 900),
            (300, 400, 900),
        ] {
            let (a, b) = (single(1, m * k)?, single(2, k * n)?);
            for (t_a, t_b) in [(false, false), (false, true), (true, false)] {
                let (a, b) = (view(&a, m, k, t_a, 0), view(&b, k, n, t_b, 0));
                let with = |threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    pool.expect("a pool starts").install(|| {
                        let y = product(precision, a, b);
                        y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                    })
                };
                let one = with(1);
                for threads in [2, 3, 4] {
                    assert!(one == with(threads), "{m}×{n}×{k}, {threads} threads");
                }
            }
        }
    }
    Ok(())
}
