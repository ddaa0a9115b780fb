//! The walls between the segments of packed rows.

use std::ops::Range;

use candle_core::{Result, bail};

/// Fails unless `cu_seqlens` rises from 0 to `n`; `name` is that of the operation.
pub(crate) fn check(name: &str, cu_seqlens: &[u32], n: usize) -> Result<()> {
    let rises = cu_seqlens.is_sorted();
    let (Some(0), Some(&end), true) = (cu_seqlens.first(), cu_seqlens.last(), rises) else {
        bail!("{name}: the boundaries {cu_seqlens:?} do not rise from 0");
    };
    if end as usize != n {
        bail!("{name}: the segments end at {end}, there are {n} rows");
    }
    Ok(())
}

/// The rows of each segment.
pub(crate) fn ranges(cu_seqlens: &[u32]) -> impl ExactSizeIterator<Item = Range<usize>> {
    cu_seqlens
        .windows(2)
        .map(|walls| walls[0] as usize..walls[1] as usize)
}

/// The rows of each segment of `x`, whose rows are `width` wide, apart.
pub(crate) fn split_mut<'a, T>(
    mut x: &'a mut [T],
    cu_seqlens: &[u32],
    width: usize,
) -> Vec<&'a mut [T]> {
    let mut segments = Vec::with_capacity(cu_seqlens.len().saturating_sub(1));
    for rows in ranges(cu_seqlens) {
        let (segment, rest) = x.split_at_mut(rows.len() * width);
        segments.push(segment);
        x = rest;
    }
    segments
}
