//! Which of many things are learnt from, chosen by and set aside.

use crate::order::Permutation;

/// The epochs whose shuffles cut data: far from any epoch of training.
const TEST: u64 = u64::MAX;
const VAL: u64 = u64::MAX - 1;

/// Which things are cut off, and from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// A test part, of everything.
    Test,
    /// A validation part, of what is left.
    Val,
}

/// `0..classes.len()`, things of a class together, at random within a class.
fn by_class(classes: &[u32], seed: u64, cut: Cut) -> Vec<usize> {
    let epoch = match cut {
        Cut::Test => TEST,
        Cut::Val => VAL,
    };
    let n = classes.len() as u64;
    let shuffle = Permutation::new(seed, epoch, n);
    let mut order: Vec<usize> = (0..n).map(|i| shuffle.at(i) as usize).collect();
    order.sort_by_key(|&i| classes[i]);
    order
}

/// The fold of each thing, below `folds`: as equal in number and in classes as can be.
pub(super) fn folds(classes: &[u32], folds: usize, seed: u64) -> Vec<usize> {
    let mut fold_of = vec![0; classes.len()];
    for (position, i) in by_class(classes, seed, Cut::Test).into_iter().enumerate() {
        fold_of[i] = position % folds;
    }
    fold_of
}

/// Whether each thing is cut off: `fraction` of all and, as far as it goes, of each class;
/// at least one unless `fraction` is 0.
pub(super) fn cut_off(classes: &[u32], fraction: f64, seed: u64, cut: Cut) -> Vec<bool> {
    let n = classes.len();
    let count = match fraction > 0.0 {
        true => ((n as f64 * fraction).round() as usize).clamp(1, n.max(1)),
        false => 0,
    };
    let mut is_cut = vec![false; n];
    for (position, i) in by_class(classes, seed, cut).into_iter().enumerate() {
        // Evenly spaced: every `n / count`-th.
        is_cut[i] = (position + 1) * count / n > position * count / n;
    }
    is_cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn folds_are_alike_in_size_and_classes(
            classes in prop::collection::vec(0u32..3, 20..200), n in 2usize..11, seed: u64,
        ) {
            let fold_of = folds(&classes, n, seed);
            let count = |fold: usize, class: Option<u32>| {
                let both = fold_of.iter().zip(&classes);
                both.filter(|&(&f, &c)| f == fold && class.is_none_or(|class| class == c)).count()
            };
            for class in [None, Some(0), Some(1), Some(2)] {
                let counts: Vec<usize> = (0..n).map(|fold| count(fold, class)).collect();
                let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                prop_assert!(most - least <= 1, "{counts:?}");
            }
        }

        #[test]
        fn a_fraction_is_cut_off_in_number_and_by_class(
            classes in prop::collection::vec(0u32..4, 1..300), fraction in 0.0f64..1.0, seed: u64,
        ) {
            let is_cut = cut_off(&classes, fraction, seed, Cut::Val);
            let n_cut = is_cut.iter().filter(|&&cut| cut).count();
            let expected = (classes.len() as f64 * fraction).round();
            prop_assert!((n_cut as f64 - expected.max(1.0)).abs() < 0.5 || fraction == 0.0);
            for class in 0..4 {
                let of_class = || classes.iter().zip(&is_cut).filter(move |&(&c, _)| c == class);
                let cut = of_class().filter(|&(_, &cut)| cut).count() as f64;
                prop_assert!((cut - of_class().count() as f64 * n_cut as f64 / classes.len() as f64).abs() <= 1.0);
            }
        }
    }
}
