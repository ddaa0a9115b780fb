//! The crate as its users meet it: from files on disk to batches.

mod audio;
mod audio_golden;
mod classes;
mod graphs;
mod hostile_audio;
mod hostile_graphs;
mod hostile_images;
mod hostile_texts;
mod hostile_tokenizers;
mod images;
mod language;
mod tokenizers;

use std::path::{Path, PathBuf};

use data::text::TextDataConfig;
use serde_json::Value;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A folder of files that is gone after the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> std::io::Result<Self> {
        tempfile::tempdir().map(Self)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> std::io::Result<PathBuf> {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        std::fs::write(&path, content)?;
        Ok(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A `[data]` table with its cache in this folder.
    fn config(&self, path: &Path, mut table: Value) -> serde_json::Result<TextDataConfig> {
        table["path"] = path.to_string_lossy().into();
        table["cache"] = self.path("cache").to_string_lossy().into();
        serde_json::from_value(table)
    }
}

/// Text with many words of few syllables, punctuation, blank lines and letters
/// beyond ASCII.
fn prose(n: usize, seed: u64) -> String {
    const SYLLABLES: [&str; 12] = [
        "tion", "at", "speak", "Ci", "ti", "zen", "naï", "ve", "東", "京", "ré", "su",
    ];
    const ENDS: [&str; 8] = [" ", " ", " ", " ", ", ", "—", "\n", ".\n\n  "];
    let mut draws = 0;
    let mut draw = |bound: usize| {
        draws += 1;
        data::order::draw("prose", seed, draws, bound as u64) as usize
    };
    let mut text = String::new();
    for _ in 0..n {
        for _ in 0..=draw(2) {
            text.push_str(SYLLABLES[draw(SYLLABLES.len())]);
        }
        text.push_str(ENDS[draw(ENDS.len())]);
    }
    text
}
