//! Models that read sound, frame by frame.
//!
//! A front end puts neighbouring frames side by side, so that fewer positions attend; the
//! mask, most often a band, keeps what each of them reads short: truncated self-attention
//! (Povey et al. 2018 <https://www.danielpovey.com/files/2018_icassp_attention.pdf>). Or a
//! spectrogram of one length is cut into patches, as an image is.

mod classifier;
mod ctc;
mod frames;
mod front;
mod patches;
mod trunk;

pub use classifier::SpeechClassifier;
pub use ctc::SpeechCtc;
pub use frames::SpeechFrames;
pub use front::FrontEnd;
pub use patches::Patches;
