//! What models promise, on tiny ones.

mod baseline;
mod golden;
mod graphs;
mod images;
mod made;
mod memory;
mod oracle;
mod own_walk;
mod parameters;
mod patches;
mod properties;
mod refusals;
mod speech;
mod training;
mod vectors;
