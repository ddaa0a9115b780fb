//! The backward pass: once by destination, once by source.
//!
//! With weights `p = e^(s − lse)` and results `y = Σ p (v + e)`: `dv = Σ p dy`,
//! `dp = dy (v + e)`, `ds = p ⊙ (dp − Σ dy·y)`; what `ds` means for either end is the
//! score's affair. Weights are computed again in each pass, so that nothing is kept
//! an edge, and every gradient is a sum in the order of the edges.

use std::ops::Range;

use super::call::{Call, Scratch};
use super::known::Known;
use super::pairs::{Pairs, blocks, stride};
use super::score::Score;
use crate::Real;
use crate::parallel::numbers;
use crate::simd::{Kernel, Lanes};
use crate::view::{Columns, Panel, SharedRows};

/// Gradients, zero at first.
pub(super) struct Gradients<'a, T> {
    /// Of what destinations and sources give to the scores.
    pub(super) destination: Columns<'a, T>,
    pub(super) source: Columns<'a, T>,
    /// Of the values.
    pub(super) values: Columns<'a, T>,
    /// `[n_edges, n_kv_heads · head_dim]`, if it is wanted.
    pub(super) features: Option<SharedRows<'a, T>>,
    /// `[n_pieces, n_buckets · stride]`, if it is wanted.
    pub(super) bias: Option<SharedRows<'a, T>>,
}

/// Computes all gradients.
pub(super) fn backward<T: Real, S: Score<T>>(
    call: &Call<'_, T, S>,
    known: &Known<'_, T>,
    gradients: &Gradients<'_, T>,
) {
    let [of_destination, of_source] = call.score.widths();
    let kv_width = call.heads.kv_width();
    let incoming = call.edges.incoming();
    numbers(incoming.pieces.len(), &|piece| {
        let rows = &incoming.pieces[piece];
        let edges = incoming.places(rows.start).start..incoming.places(rows.end - 1).end;
        // SAFETY: pieces share no row, and no edge.
        let destination = unsafe { gradients.destination.head(rows, 0, of_destination) };
        let features = gradients.features.map(|features| {
            // SAFETY: as above.
            unsafe { features.panel(edges, 0..kv_width) }
        });
        let bias = gradients.bias.zip(call.bias.as_ref());
        let bias = bias.map(|(bias, table)| {
            // SAFETY: each piece has a row of its own.
            unsafe { bias.panel(piece..piece + 1, 0..table.len()) }
        });
        T::dispatch(Destinations {
            call,
            known,
            rows: rows.clone(),
            destination,
            features,
            bias,
        });
    });
    let pieces = call.edges.outgoing().pieces;
    numbers(pieces.len(), &|i| {
        let rows = &pieces[i];
        // SAFETY: pieces share no row.
        let source = unsafe { gradients.source.head(rows, 0, of_source) };
        // SAFETY: as above.
        let values = unsafe { gradients.values.head(rows, 0, kv_width) };
        T::dispatch(Sources {
            call,
            known,
            rows: rows.clone(),
            source,
            values,
        });
    });
}

/// What the edges into some rows add up to.
struct Destinations<'a, 'b, T, S> {
    call: &'a Call<'b, T, S>,
    known: &'a Known<'b, T>,
    rows: Range<usize>,
    destination: Panel<'a, T>,
    features: Option<Panel<'a, T>>,
    bias: Option<Panel<'a, T>>,
}

impl<T: Real, S: Score<T>> Kernel<T> for Destinations<'_, '_, T, S> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(mut self, lanes: L) {
        let (call, known) = (self.call, self.known);
        let (n_heads, h) = (call.heads.n_heads, stride(call.heads.n_heads));
        let side = call.edges.incoming();
        let mut scratch = Scratch::new(n_heads);
        let first = self.rows.start;
        let first_edge = side.places(first).start;
        for row in self.rows {
            let into = self.destination.row(row - first);
            for block in blocks(side.places(row)) {
                let place = block.start - first_edge;
                let pairs = Pairs::incoming(side, row, block);
                let (weights, grads) = call.weights_again(lanes, &pairs, known, &mut scratch);
                call.score.to_destination(lanes, &pairs, grads, into);
                if let Some(features) = &mut self.features {
                    let edges = weights.chunks_exact(h).zip(grads.chunks_exact(h));
                    for (e, (weights, grads)) in (0..pairs.len()).zip(edges) {
                        let into = features.row(place + e);
                        call.score.to_features(lanes, row, grads, into);
                        call.to_features(lanes, row, weights, known, into);
                    }
                }
                if let (Some(bias), Some(table)) = (&mut self.bias, &call.bias) {
                    table.sum_into(&pairs, grads, bias.row(0));
                }
            }
        }
    }
}

/// What the edges out of some rows add up to.
struct Sources<'a, 'b, T, S> {
    call: &'a Call<'b, T, S>,
    known: &'a Known<'b, T>,
    rows: Range<usize>,
    source: Panel<'a, T>,
    values: Panel<'a, T>,
}

impl<T: Real, S: Score<T>> Kernel<T> for Sources<'_, '_, T, S> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(mut self, lanes: L) {
        let (call, known) = (self.call, self.known);
        let side = call.edges.outgoing();
        let mut scratch = Scratch::new(call.heads.n_heads);
        let first = self.rows.start;
        for row in self.rows {
            let source = self.source.row(row - first);
            let values = self.values.row(row - first);
            for block in blocks(side.places(row)) {
                let pairs = Pairs::outgoing(side, row, block);
                let (weights, grads) = call.weights_again(lanes, &pairs, known, &mut scratch);
                call.score.to_source(lanes, &pairs, grads, source);
                call.to_values(lanes, &pairs, weights, known, values);
            }
        }
    }
}
