use proptest::prelude::*;

use super::*;

const WITHOUT_LIMIT: usize = usize::MAX;

fn square(pattern: Pattern, walls: &[u32]) -> Mask {
    Mask::new(pattern, walls).expect("valid mask")
}

fn same(a: &Mask, b: &Mask) -> bool {
    let rows = 0..a.n_queries() + 1;
    rows.into_iter()
        .all(|i| (0..a.n_keys() + 1).all(|j| a.allows(i, j) == b.allows(i, j)))
}

/// Walls of up to five sequences, some of them empty.
fn walls() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0u32..6, 1..5).prop_map(|lens| {
        let mut walls = vec![0];
        walls.extend(lens.iter().scan(0, |end, len| {
            *end += len;
            Some(*end)
        }));
        walls
    })
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let width = || prop_oneof![0usize..7, Just(WITHOUT_LIMIT)];
    prop_oneof![
        Just(Pattern::Full),
        Just(Pattern::Causal),
        (width(), width()).prop_map(|(left, right)| Pattern::Band { left, right }),
        (prop_oneof![1usize..7, Just(WITHOUT_LIMIT)], width())
            .prop_map(|(size, left)| Pattern::Chunk { size, left }),
    ]
}

proptest! {
    #[test]
    fn causal_is_a_band_without_left_limit_and_a_lower_triangle_of_edges(walls in walls()) {
        let causal = square(Pattern::Causal, &walls);
        let band = square(Pattern::Band { left: WITHOUT_LIMIT, right: 0 }, &walls);
        let (mut sources, mut destinations) = (vec![], vec![]);
        for segment in walls.windows(2) {
            for i in segment[0]..segment[1] {
                for j in segment[0]..=i {
                    sources.push(j);
                    destinations.push(i);
                }
            }
        }
        let n = causal.n_queries();
        let edges = Csr::from_edge_index(n, &sources, &destinations).expect("valid edges");
        let edges = square(Pattern::Edges(edges.into()), &walls);
        prop_assert!(same(&causal, &band));
        prop_assert!(same(&causal, &edges));
    }

    #[test]
    fn full_is_a_band_and_a_chunk_without_limits(walls in walls()) {
        let full = square(Pattern::Full, &walls);
        let band = Pattern::Band { left: WITHOUT_LIMIT, right: WITHOUT_LIMIT };
        prop_assert!(same(&full, &square(band, &walls)));
        let chunk = Pattern::Chunk { size: WITHOUT_LIMIT, left: 0 };
        prop_assert!(same(&full, &square(chunk, &walls)));
        let chunks_of_one = Pattern::Chunk { size: 1, left: WITHOUT_LIMIT };
        prop_assert!(same(&square(Pattern::Causal, &walls), &square(chunks_of_one, &walls)));
    }

    #[test]
    fn a_span_holds_exactly_the_allowed_keys(pattern in pattern(), walls in walls()) {
        let mask = square(pattern, &walls);
        for i in 0..mask.n_queries() {
            let span = mask.span(i).expect("an interval");
            for j in 0..mask.n_keys() + 2 {
                prop_assert_eq!(mask.allows(i, j), span.contains(&j), "i = {}, j = {}", i, j);
            }
        }
        prop_assert_eq!(mask.span(mask.n_queries()), None);
    }

    #[test]
    fn kernels_are_told_the_same_spans(pattern in pattern(), walls in walls()) {
        let mask = square(pattern, &walls);
        let spans = mask.spans().expect("intervals");
        prop_assert_eq!((spans.n_queries(), spans.n_keys()), (mask.n_queries(), mask.n_keys()));
        for i in 0..mask.n_queries() {
            for j in 0..mask.n_keys() {
                prop_assert_eq!(spans.keys(i).contains(&j), mask.allows(i, j));
            }
        }
    }

    #[test]
    fn decoding_sees_the_last_rows_of_the_whole_mask(pattern in pattern(), lens in prop::collection::vec((0u32..4, 0u32..4), 1..4)) {
        let (past, new): (Vec<_>, Vec<_>) = lens.iter().copied().unzip();
        let decode = Mask::decode(pattern.clone(), &past, &new).expect("valid mask");
        let mut whole_walls = vec![0];
        for (past, new) in &lens {
            whole_walls.push(whole_walls[whole_walls.len() - 1] + past + new);
        }
        let whole = square(pattern, &whole_walls);
        prop_assert_eq!(decode.n_keys(), whole.n_keys());
        let positions = decode.positions();
        let mut i = 0;
        for (b, (past, new)) in lens.iter().enumerate() {
            for fresh in 0..*new {
                let row = (whole_walls[b] + past + fresh) as usize;
                prop_assert_eq!(positions[i], past + fresh);
                for j in 0..whole.n_keys() {
                    prop_assert_eq!(decode.allows(i, j), whole.allows(row, j));
                }
                i += 1;
            }
        }
    }

    #[test]
    fn any_edge_list_is_an_error_or_a_mask(
        edges in prop::collection::vec((0u32..7, 0u32..7), 0..6),
        walls in walls(),
    ) {
        let rows = walls[walls.len() - 1] as usize;
        let (sources, destinations): (Vec<_>, Vec<_>) = edges.iter().copied().unzip();
        if let Ok(csr) = Csr::from_edge_index(rows, &sources, &destinations)
            && let Ok(mask) = Mask::new(Pattern::Edges(csr.into()), walls)
        {
            for i in 0..rows {
                for j in 0..rows {
                    let listed = edges.contains(&(j as u32, i as u32));
                    prop_assert_eq!(mask.allows(i, j), listed);
                }
            }
        }
    }
}

#[test]
fn windows_include_both_ends() {
    let mask = square(Pattern::Band { left: 2, right: 1 }, &[0, 8]);
    let read: Vec<usize> = (0..8).filter(|&j| mask.allows(4, j)).collect();
    assert_eq!(read, [2, 3, 4, 5]);
}

#[test]
fn positions_start_again_in_every_sequence() {
    let mask = square(Pattern::Full, &[0, 3, 3, 5]);
    assert_eq!(&*mask.positions(), [0, 1, 2, 0, 1]);
    assert_eq!(mask.key_positions(), mask.positions());
    assert_eq!(mask.n_sequences(), 3);
    let decode = Mask::decode(Pattern::Causal, &[2, 0], &[1, 1]).expect("valid mask");
    assert_eq!((mask.max_len(), decode.max_len()), (3, 3));
    assert_eq!(&*decode.positions(), [2, 0]);
    assert_eq!(&*decode.key_positions(), [0, 1, 2, 0]);
}

#[test]
fn bad_walls_are_errors() {
    let new = |walls: &[u32]| Mask::new(Pattern::Full, walls).map(|_| ());
    assert_eq!(new(&[]), Err(MaskError::NoWalls));
    assert_eq!(new(&[1, 2]), Err(MaskError::FirstWallNotZero { first: 1 }));
    let decrease = MaskError::WallsDecrease {
        index: 2,
        before: 4,
        after: 3,
    };
    assert_eq!(new(&[0, 4, 3]), Err(decrease));
    assert_eq!(new(&[0]), Ok(()));
    let chunk = Mask::new(Pattern::Chunk { size: 0, left: 1 }, [0, 1]);
    assert_eq!(chunk.map(|_| ()), Err(MaskError::EmptyChunk));
    let long = Mask::decode(Pattern::Causal, &[u32::MAX], &[1]).map(|_| ());
    assert_eq!(long, Err(MaskError::TooManyRows { n: 1 << 32 }));
}

#[test]
fn bad_edges_are_errors() {
    let csr = |offsets: &[u32], sources: &[u32]| Csr::new(offsets.to_vec(), sources.to_vec());
    assert_eq!(csr(&[], &[]), Err(MaskError::BadOffsets { n_edges: 0 }));
    assert_eq!(
        csr(&[0, 2, 1], &[0]),
        Err(MaskError::BadOffsets { n_edges: 1 })
    );
    let outside = MaskError::EdgeOutOfBounds {
        source_row: 2,
        destination: 0,
        rows: 2,
    };
    assert_eq!(csr(&[0, 1, 1], &[2]), Err(outside.clone()));
    assert_eq!(Csr::from_edge_index(2, &[2], &[0]), Err(outside));
    let unsorted = MaskError::EdgesNotSorted { destination: 1 };
    assert_eq!(csr(&[0, 0, 2], &[1, 0]), Err(unsorted));
    let twice = MaskError::DuplicateEdge {
        source_row: 1,
        destination: 0,
    };
    assert_eq!(Csr::from_edge_index(2, &[1, 1], &[0, 0]), Err(twice));
    let ragged = MaskError::EdgeIndexDiffers {
        sources: 1,
        destinations: 0,
    };
    assert_eq!(Csr::from_edge_index(2, &[1], &[]), Err(ragged));

    let across = Csr::from_edge_index(4, &[2], &[1]).expect("valid edges");
    let error = Mask::new(Pattern::Edges(across.clone().into()), [0, 2, 4]).map(|_| ());
    assert_eq!(
        error,
        Err(MaskError::EdgeCrossesWall {
            source_row: 2,
            destination: 1
        })
    );
    let error = Mask::new(Pattern::Edges(across.into()), [0, 5]).map(|_| ());
    assert_eq!(error, Err(MaskError::EdgeRows { edges: 4, rows: 5 }));
}

#[test]
fn a_picture_says_what_it_leaves_out() {
    let mask = square(Pattern::Band { left: 0, right: 1 }, &[0, 4]);
    assert_eq!(mask.picture(2), "██\n·█\nthe first 2 × 2 of 4 × 4\n");
}

#[test]
fn dense_agrees_with_the_definition() -> candle_core::Result<()> {
    let mask = square(Pattern::Chunk { size: 2, left: 0 }, &[0, 3]);
    let dense = mask.to_dense(&Device::Cpu)?.to_vec2::<u8>()?;
    assert_eq!(dense, [[1, 1, 0], [1, 1, 0], [0, 0, 1]]);
    Ok(())
}

#[test]
fn other_lengths_keep_the_pattern() -> Result<(), MaskError> {
    let pattern = Pattern::Band { left: 1, right: 0 };
    let mask = Mask::new(pattern.clone(), [0, 8, 12])?.with_lens([2, 1])?;
    assert_eq!(mask.cu_seqlens()[..], [0, 2, 3]);
    assert_eq!(mask.pattern(), &pattern);
    assert!(mask.allows(1, 0) && !mask.allows(2, 1));
    Ok(())
}
