//! What models promise, on tiny ones.

mod made;
mod oracle;
mod parameters;
mod properties;
mod refusals;
mod training;
