//! How far one sequence is from another, in edits.

/// Fewest insertions, deletions and substitutions of one element that turn `from` into
/// `to`: Levenshtein 1966. Divided by the length of what is right, over characters or
/// words, it is the character or word error rate.
///
/// Takes `from.len() · to.len()` steps and memory for one row of them.
///
/// ```
/// use models::edit_distance;
///
/// assert_eq!(edit_distance("kitten".as_bytes(), "sitting".as_bytes()), 3);
/// let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
/// assert_eq!(edit_distance(&words("seven nine"), &words("seven five nine")), 1);
/// ```
pub fn edit_distance<T: PartialEq>(from: &[T], to: &[T]) -> usize {
    // Of the elements of `from` read so far: the distance to each beginning of `to`.
    let mut distances: Vec<usize> = (0..=to.len()).collect();
    for (i, element) in from.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut distances[0], i + 1);
        for (j, other) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(element != other);
            diagonal = distances[j + 1];
            distances[j + 1] = substituted.min(diagonal + 1).min(distances[j] + 1);
        }
    }
    distances[to.len()]
}

#[cfg(test)]
mod tests {
    use testkit::rand_ids;

    use super::*;

    /// The definition, by recursion.
    fn plain(from: &[u32], to: &[u32]) -> usize {
        match (from, to) {
            ([], rest) | (rest, []) => rest.len(),
            ([a, from @ ..], [b, to @ ..]) if a == b => plain(from, to),
            ([_, shorter_from @ ..], [_, shorter_to @ ..]) => {
                1 + plain(shorter_from, to)
                    .min(plain(from, shorter_to))
                    .min(plain(shorter_from, shorter_to))
            }
        }
    }

    #[test]
    fn the_distance_is_that_of_the_definition() {
        for seed in 0..200 {
            let n = |seed: u64| (seed % 7) as usize;
            let (a, b) = (
                rand_ids(seed, n(seed), 3),
                rand_ids(seed + 1000, n(seed / 7), 3),
            );
            assert_eq!(edit_distance(&a, &b), plain(&a, &b), "{a:?}, {b:?}");
            assert_eq!(edit_distance(&a, &b), edit_distance(&b, &a), "{a:?}, {b:?}");
        }
    }

    #[test]
    fn known_distances() {
        let of = |a: &str, b: &str| edit_distance(a.as_bytes(), b.as_bytes());
        assert_eq!((of("", ""), of("abc", ""), of("", "ab")), (0, 3, 2));
        assert_eq!((of("abc", "abc"), of("abc", "acb")), (0, 2));
        assert_eq!(of("intention", "execution"), 5);
    }
}
