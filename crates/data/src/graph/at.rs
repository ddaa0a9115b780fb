//! Where in a file of graphs something stands.

use crate::{Error, Place};

/// Where in a file something stands; inside a JSON object also its path.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) place: Place,
    pub(super) inside: Option<String>,
}

impl At {
    pub(super) fn place(place: &Place) -> Self {
        Self {
            place: place.clone(),
            inside: None,
        }
    }

    pub(super) fn inside(place: &Place, path: String) -> Self {
        Self {
            place: place.clone(),
            inside: Some(path),
        }
    }

    /// The error that something here is wrong.
    pub(super) fn refuse(&self, reason: impl Into<String>, remedy: &'static str) -> Error {
        let reason = reason.into();
        Error::Graph {
            at: self.place.clone(),
            reason: match &self.inside {
                Some(path) => format!("{path}: {reason}"),
                None => reason,
            },
            remedy,
        }
    }
}
