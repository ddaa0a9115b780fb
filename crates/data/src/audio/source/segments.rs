//! Labels of stretches of a clip: `segments` of a manifest in JSON Lines.
//!
//! ```json
//! {"path": "a.wav", "segments": [{"start": 0.0, "end": 0.4, "label": "up"}, ...]}
//! ```
//!
//! Times are in seconds from where the clip begins. Frames that no segment covers have no
//! label.

use serde_json::Value;

use crate::audio::entry::Segment;
use crate::{Error, Place, Result};

/// The segments that the record at `at` lists, by time.
///
/// # Errors
///
/// If they are no list of segments, one ends before it begins, or two overlap.
pub(super) fn segments(value: Value, at: &Place) -> Result<Vec<Segment>> {
    let wrong = |reason: String, remedy| Error::Table {
        at: at.clone(),
        reason,
        remedy,
    };
    let Value::Array(items) = value else {
        return Err(wrong("`segments` is not a list".into(), EXAMPLE));
    };
    if items.is_empty() {
        return Err(wrong(
            "`segments` is empty".into(),
            "list at least one, or leave the clip out",
        ));
    }
    let mut segments: Vec<(usize, Segment)> = Vec::with_capacity(items.len());
    for (i, item) in items.into_iter().enumerate() {
        let segment: Segment = serde_json::from_value(item)
            .map_err(|error| wrong(format!("segments[{i}]: {error}"), EXAMPLE))?;
        let Segment { start, end, .. } = segment;
        if !(start >= 0.0 && end > start && end.is_finite()) {
            return Err(wrong(
                format!("segments[{i}] begins at {start} s and ends at {end} s"),
                "let it end after it begins, both from 0",
            ));
        }
        segments.push((i, segment));
    }
    segments.sort_by(|(_, a), (_, b)| a.start.total_cmp(&b.start));
    for pair in segments.windows(2) {
        let ((i, before), (j, after)) = (&pair[0], &pair[1]);
        if after.start < before.end {
            return Err(wrong(
                format!(
                    "segments[{j}] begins at {} s, before segments[{i}] ends at {} s",
                    after.start, before.end
                ),
                "let one end where the next begins",
            ));
        }
    }
    Ok(segments.into_iter().map(|(_, segment)| segment).collect())
}

const EXAMPLE: &str = r#"write [{"start": 0.0, "end": 0.5, "label": "..."}], in seconds"#;
