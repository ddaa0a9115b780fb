//! Stop strings, in a text that arrives piece by piece.

/// Passes text on until one of a few strings turns up in it.
///
/// What may be the beginning of a stop string is held back until it is known to be
/// none; a stop string itself is never passed on, nor what follows it.
#[derive(Debug, Clone)]
pub(super) struct StopFilter {
    stops: Vec<String>,
    held: String,
}

/// What a [`StopFilter`] lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) text: String,
    pub(super) stopped: bool,
}

impl StopFilter {
    /// Empty strings stop nothing.
    pub(super) fn new(stops: &[String]) -> Self {
        let stops = stops
            .iter()
            .filter(|stop| !stop.is_empty())
            .cloned()
            .collect();
        Self {
            stops,
            held: String::new(),
        }
    }

    /// Adds `piece` and returns what can be passed on.
    pub(super) fn push(&mut self, piece: &str) -> Passed {
        self.held.push_str(piece);
        let found = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()))
            .min();
        if let Some(at) = found {
            self.held.truncate(at);
            return Passed {
                text: std::mem::take(&mut self.held),
                stopped: true,
            };
        }
        let starts_a_stop = |&at: &usize| {
            let tail = &self.held[at..];
            self.stops.iter().any(|stop| stop.starts_with(tail))
        };
        let mut starts = self.held.char_indices().map(|(at, _)| at);
        let free = starts.find(starts_a_stop).unwrap_or(self.held.len());
        let kept = self.held.split_off(free);
        Passed {
            text: std::mem::replace(&mut self.held, kept),
            stopped: false,
        }
    }

    /// What is still held back when no more text comes.
    pub(super) fn finish(self) -> String {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes through when `text` arrives `n` bytes at a time, all ASCII.
    fn filtered(stops: &[&str], text: &str, n: usize) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut filter = StopFilter::new(&stops);
        let mut out = String::new();
        for piece in text.as_bytes().chunks(n) {
            let Passed { text, stopped } = filter.push(std::str::from_utf8(piece).unwrap());
            out.push_str(&text);
            if stopped {
                return (out, true);
            }
        }
        out.push_str(&filter.finish());
        (out, false)
    }

    #[test]
    fn the_pieces_do_not_change_what_comes_through() {
        for (stops, text, want) in [
            (&["END"][..], "abcENDdef", ("abc", true)),
            (&["END"], "abcENEND", ("abcEN", true)),
            (&["END"], "abcEN", ("abcEN", false)),
            (&["aab"], "aaab", ("a", true)),
            (&["xyz", "bc"], "abcxyz", ("a", true)),
            (&["\n\n", "a"], "\nb\n\nc", ("\nb", true)),
            (&[""], "abc", ("abc", false)),
            (&[], "abc", ("abc", false)),
        ] {
            for n in 1..=text.len() {
                let (out, stopped) = filtered(stops, text, n);
                assert_eq!(
                    (out.as_str(), stopped),
                    want,
                    "{stops:?} in {text:?} by {n}"
                );
            }
        }
    }

    #[test]
    fn only_what_may_begin_a_stop_string_is_held_back() {
        let mut filter = StopFilter::new(&["éa".into()]);
        assert_eq!(
            filter.push("xé"),
            Passed {
                text: "x".into(),
                stopped: false
            }
        );
        assert_eq!(
            filter.push("é"),
            Passed {
                text: "é".into(),
                stopped: false
            }
        );
        assert_eq!(
            filter.push("b"),
            Passed {
                text: "éb".into(),
                stopped: false
            }
        );
        assert_eq!(
            filter.push("c"),
            Passed {
                text: "c".into(),
                stopped: false
            }
        );
    }
}
