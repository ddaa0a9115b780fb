//! Sound files to samples: WAV, FLAC, OGG Vorbis and MP3.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Cause;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use crate::contain::contain;
use crate::{Error, Place, Result};

/// Samples of one file at most: 2.3 hours at 16 kHz. A file of a few bytes can promise, and
/// with FLAC even hold, any number of them.
pub const MAX_SAMPLES: usize = 1 << 27;

/// The fastest sampling that is believed, in Hz.
const MAX_RATE: u32 = 768_000;

/// Sound in one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// Samples, of which 1 is the loudest that an integer format has.
    pub samples: Vec<f32>,
    /// Samples a second.
    pub rate: u32,
}

/// What a file begins like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Wav,
    Flac,
    Ogg,
    Mp3,
}

/// Decodes a file; its channels are averaged. What it holds is told by its first bytes, not
/// by its name.
///
/// # Errors
///
/// If there is no such file, or it is not one of the four formats, is damaged, ends too
/// early, has no samples, no channels, no sample rate or more than [`MAX_SAMPLES`], or a
/// sample is not a number.
pub fn decode(path: impl AsRef<Path>) -> Result<Sound> {
    let path = path.as_ref();
    let read = |cause| Error::read(path, cause);
    let mut file = File::open(path).map_err(read)?;
    if file.metadata().map_err(read)?.is_dir() {
        return Err(Error::sound(
            &Place::file(path),
            "is a folder",
            "name a sound file",
        ));
    }
    let mut start = Vec::new();
    (&mut file).take(12).read_to_end(&mut start).map_err(read)?;
    file.seek(SeekFrom::Start(0)).map_err(read)?;
    decode_source(Box::new(file), &start, &Place::file(path))
}

/// Decodes a file that is in memory; see [`decode`].
///
/// # Errors
///
/// As [`decode`].
pub fn decode_bytes(bytes: Vec<u8>, at: &Place) -> Result<Sound> {
    let start = bytes[..bytes.len().min(12)].to_vec();
    decode_source(Box::new(std::io::Cursor::new(bytes)), &start, at)
}

fn decode_source(source: Box<dyn MediaSource>, start: &[u8], at: &Place) -> Result<Sound> {
    if start.is_empty() {
        return Err(Error::sound(at, "the file is empty", FETCH));
    }
    let container = Container::of(start).ok_or_else(|| {
        Error::sound(
            at,
            "not a WAV, FLAC, OGG or MP3 file, whatever it is called",
            "convert it, or take it out of the data",
        )
    })?;
    // Decoders work on bytes that nobody has checked.
    contain(|| Reader::open(source, container, at)?.read()).unwrap_or_else(|panic| {
        Err(Error::sound(
            at,
            format!("cannot be decoded: {panic}"),
            FETCH,
        ))
    })
}

const FETCH: &str = "fetch or record it again, or take it out of the data";

impl Container {
    fn of(start: &[u8]) -> Option<Self> {
        match start {
            [b'R', b'I', b'F', b'F', ..] if start.get(8..12) == Some(b"WAVE") => Some(Self::Wav),
            // Cut off before it says what it is.
            [b'R', b'I', b'F', b'F', ..] if start.len() < 12 => Some(Self::Wav),
            [b'f', b'L', b'a', b'C', ..] => Some(Self::Flac),
            [b'O', b'g', b'g', b'S', ..] => Some(Self::Ogg),
            [b'I', b'D', b'3', ..] => Some(Self::Mp3),
            // The sync word of a frame, of layer III.
            [0xff, second, ..] if second & 0xe6 == 0xe2 => Some(Self::Mp3),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Wav => "WAV",
            Self::Flac => "FLAC",
            Self::Ogg => "OGG",
            Self::Mp3 => "MP3",
        }
    }
}

/// A file that is being decoded.
struct Reader<'a> {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    /// Samples that the file promises, if it does so exactly.
    promised: Option<u64>,
    rate: u32,
    container: Container,
    at: &'a Place,
}

impl<'a> Reader<'a> {
    fn open(source: Box<dyn MediaSource>, container: Container, at: &'a Place) -> Result<Self> {
        let damaged = |cause: Cause| Error::sound(at, damage(container, &cause), FETCH);
        let stream = MediaSourceStream::new(source, Default::default());
        let format = symphonia::default::get_probe()
            .probe(
                &Hint::new(),
                stream,
                FormatOptions::default(),
                MetadataOptions::default(),
            )
            .map_err(damaged)?;
        let lacks = |what: &str| {
            let reason = format!("damaged {} file: it has {what}", container.name());
            Error::sound(at, reason, FETCH)
        };
        let track = format
            .default_track(TrackType::Audio)
            .ok_or_else(|| lacks("no sound"))?;
        let parameters = track
            .codec_params
            .as_ref()
            .and_then(|parameters| parameters.audio())
            .ok_or_else(|| lacks("no sound"))?;
        let rate = parameters.sample_rate.unwrap_or(0);
        if !(1..=MAX_RATE).contains(&rate) {
            let reason = format!(
                "damaged {} file: a sample rate of {rate} Hz",
                container.name()
            );
            return Err(Error::sound(at, reason, FETCH));
        }
        if parameters.channels.as_ref().is_some_and(|c| c.count() == 0) {
            return Err(lacks("0 channels"));
        }
        let promised = match container {
            Container::Wav | Container::Flac => track.num_frames,
            Container::Ogg | Container::Mp3 => None,
        };
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default())
            .map_err(damaged)?;
        let track = track.id;
        Ok(Self {
            format,
            decoder,
            track,
            promised,
            rate,
            container,
            at,
        })
    }

    fn read(mut self) -> Result<Sound> {
        let mut samples = Vec::new();
        let mut channels = Vec::new();
        loop {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(Cause::IoError(cause)) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
                    break;
                }
                Err(cause) => return Err(self.damaged(&cause, samples.len())),
            };
            if packet.track_id != self.track {
                continue;
            }
            match self.decoder.decode(&packet) {
                Ok(sound) => mix(&sound, &mut channels, &mut samples),
                Err(cause) => return Err(self.damaged(&cause, samples.len())),
            }
            if samples.len() > MAX_SAMPLES {
                return Err(Error::sound(
                    self.at,
                    format!("more than {MAX_SAMPLES} samples"),
                    "cut it into shorter files",
                ));
            }
        }
        self.check(&samples)?;
        Ok(Sound {
            samples,
            rate: self.rate,
        })
    }

    fn check(&self, samples: &[f32]) -> Result<()> {
        let (name, found) = (self.container.name(), samples.len() as u64);
        if let Some(promised) = self.promised.filter(|&promised| found < promised) {
            let reason = format!(
                "truncated {name} file: {found} of {promised} samples, it ends at {}",
                self.time(samples.len())
            );
            return Err(Error::sound(self.at, reason, FETCH));
        }
        if samples.is_empty() {
            let reason = format!("the {name} file holds no samples");
            return Err(Error::sound(self.at, reason, FETCH));
        }
        if let Some(at) = samples.iter().position(|sample| !sample.is_finite()) {
            let reason = format!("sample {at}, at {}, is {}", self.time(at), samples[at]);
            return Err(Error::sound(self.at, reason, FETCH));
        }
        Ok(())
    }

    fn damaged(&self, cause: &Cause, n_samples: usize) -> Error {
        let reason = format!(
            "{}, at {}",
            damage(self.container, cause),
            self.time(n_samples)
        );
        Error::sound(self.at, reason, FETCH)
    }

    fn time(&self, n_samples: usize) -> String {
        format!("{:.3} s", n_samples as f64 / f64::from(self.rate))
    }
}

fn damage(container: Container, cause: &Cause) -> String {
    let name = container.name();
    match cause {
        Cause::IoError(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("truncated {name} file: it ends inside its header")
        }
        // `wav: ...`, `malformed stream: wav: ...`: which format it is has been said.
        cause => {
            let text = cause.to_string().replace('\n', " ");
            format!("damaged {name} file: {text}")
        }
    }
}

/// Appends the mean of the channels of `sound`; `channels` is memory to work in.
fn mix(sound: &GenericAudioBufferRef<'_>, channels: &mut Vec<Vec<f32>>, samples: &mut Vec<f32>) {
    sound.copy_to_vecs_planar(channels);
    match channels.as_slice() {
        [] => {}
        [mono] => samples.extend_from_slice(mono),
        [first, others @ ..] => {
            let scale = 1.0 / channels.len() as f32;
            samples.extend(first.iter().enumerate().map(|(i, &sample)| {
                let sum = others.iter().fold(sample, |sum, channel| sum + channel[i]);
                sum * scale
            }));
        }
    }
}
