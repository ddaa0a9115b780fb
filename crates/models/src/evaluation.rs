//! How well a model does: sums over batches, and the figures that people compare.

use serde::Serialize;

use crate::edit_distance;

/// What a model makes of targets; batches add up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evaluation {
    /// Sum of the loss over the targets: of the surprise, in nats, where the model gives
    /// probabilities.
    pub loss_sum: f64,
    /// Targets that count.
    pub n_targets: usize,
    /// Targets that the model holds for the likeliest; of equally likely ones it takes the
    /// first.
    pub n_correct: usize,
    /// What else is told apart, by what is asked of the model.
    pub outcome: Outcome,
}

/// What is known of the answers beside their loss.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing: the model foresees tokens.
    #[default]
    Tokens,
    /// How often each class was taken for each.
    Classes(Confusion),
    /// How far numbers were off.
    Errors(Errors),
    /// How many symbols of sequences were wrong.
    Edits(Edits),
    /// How pairs were ranked.
    Ranks(Ranks),
}

/// How often each class was taken for each: `[true class, answer]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Confusion {
    n_classes: usize,
    counts: Vec<u64>,
}

/// Sums of the differences between numbers and answers, in the unit of the data.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Errors {
    /// Of their size.
    pub absolute: f64,
    /// Of their square.
    pub squared: f64,
}

/// Insertions, deletions and substitutions that turn answers into what was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edits {
    /// Among symbols.
    pub symbols_wrong: u64,
    /// Symbols that were right.
    pub n_symbols: u64,
    /// Among words, where symbols spell words.
    pub words_wrong: u64,
    /// Words that were right.
    pub n_words: u64,
}

impl Edits {
    /// Adds what turns `spelt` into `right`. Words are what stands between symbols
    /// `separator`; where two of these meet, or at an end, there is none.
    pub fn add(&mut self, spelt: &[u32], right: &[u32], separator: Option<u32>) {
        self.symbols_wrong += edit_distance(spelt, right) as u64;
        self.n_symbols += right.len() as u64;
        let Some(separator) = separator else {
            return;
        };
        let words = |symbols| words(symbols, separator);
        let (spelt, right) = (words(spelt), words(right));
        self.words_wrong += edit_distance(&spelt, &right) as u64;
        self.n_words += right.len() as u64;
    }
}

fn words(symbols: &[u32], separator: u32) -> Vec<&[u32]> {
    let parts = symbols.split(|&symbol| symbol == separator);
    parts.filter(|word| !word.is_empty()).collect()
}

/// Scores of pairs that belong together, and of pairs that do not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ranks {
    /// Of those that do.
    pub present: Vec<f32>,
    /// Of those that do not.
    pub absent: Vec<f32>,
}

/// The figures by which models are compared; those that do not apply are absent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Scores {
    /// Share of right answers, where there are classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Mean over the classes of the share of each that was answered right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balanced_accuracy: Option<f64>,
    /// Mean over the classes of the harmonic mean of precision and recall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<f64>,
    /// Wrong symbols for each right one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cer: Option<f64>,
    /// Wrong words for each right one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wer: Option<f64>,
    /// Mean size of the differences, in the unit of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mae: Option<f64>,
    /// Root of the mean square of the differences, in the unit of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmse: Option<f64>,
    /// Probability that a pair which belongs together ranks above one that does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roc_auc: Option<f64>,
}

impl Scores {
    /// Every figure with its name, whether it applies or not.
    pub fn named(&self) -> [(&'static str, Option<f64>); 8] {
        [
            ("accuracy", self.accuracy),
            ("balanced_accuracy", self.balanced_accuracy),
            ("macro_f1", self.macro_f1),
            ("cer", self.cer),
            ("wer", self.wer),
            ("mae", self.mae),
            ("rmse", self.rmse),
            ("roc_auc", self.roc_auc),
        ]
    }
}

impl Evaluation {
    /// Mean loss; `None` without targets.
    pub fn loss(&self) -> Option<f64> {
        (self.n_targets > 0).then(|| self.loss_sum / self.n_targets as f64)
    }

    /// Share of right answers; `None` without targets.
    pub fn accuracy(&self) -> Option<f64> {
        (self.n_targets > 0).then(|| self.n_correct as f64 / self.n_targets as f64)
    }

    /// The figures that apply to what was asked.
    pub fn scores(&self) -> Scores {
        let n = (self.n_targets > 0).then_some(self.n_targets as f64);
        let none = Scores::default();
        match &self.outcome {
            Outcome::Tokens => none,
            Outcome::Classes(confusion) => Scores {
                accuracy: self.accuracy(),
                balanced_accuracy: confusion.balanced_accuracy(),
                macro_f1: confusion.macro_f1(),
                ..none
            },
            Outcome::Errors(errors) => Scores {
                mae: n.map(|n| errors.absolute / n),
                rmse: n.map(|n| (errors.squared / n).sqrt()),
                ..none
            },
            Outcome::Edits(edits) => Scores {
                accuracy: self.accuracy(),
                cer: share(edits.symbols_wrong, edits.n_symbols),
                wer: share(edits.words_wrong, edits.n_words),
                ..none
            },
            Outcome::Ranks(ranks) => Scores {
                accuracy: self.accuracy(),
                roc_auc: ranks.roc_auc(),
                ..none
            },
        }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl std::ops::AddAssign for Evaluation {
    fn add_assign(&mut self, other: Self) {
        self.loss_sum += other.loss_sum;
        self.n_targets += other.n_targets;
        self.n_correct += other.n_correct;
        self.outcome += other.outcome;
    }
}

/// Outcomes of one model add up; nothing is known of a sum of different kinds.
impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        match (self, other) {
            (Self::Classes(sum), Self::Classes(more)) => sum.add(&more),
            (Self::Errors(sum), Self::Errors(more)) => {
                sum.absolute += more.absolute;
                sum.squared += more.squared;
            }
            (Self::Edits(sum), Self::Edits(more)) => {
                sum.symbols_wrong += more.symbols_wrong;
                sum.n_symbols += more.n_symbols;
                sum.words_wrong += more.words_wrong;
                sum.n_words += more.n_words;
            }
            (Self::Ranks(sum), Self::Ranks(more)) => {
                sum.present.extend(more.present);
                sum.absent.extend(more.absent);
            }
            // The sum of nothing is what is added to it.
            (sum @ Self::Tokens, more) => *sum = more,
            (_, Self::Tokens) => {}
            (sum, _) => *sum = Self::Tokens,
        }
    }
}

impl Confusion {
    /// No answers yet, of `n_classes` classes.
    pub fn new(n_classes: usize) -> Self {
        Self {
            n_classes,
            counts: vec![0; n_classes * n_classes],
        }
    }

    /// Notes that `class` was taken for `answer`; both are below the number of classes.
    pub fn note(&mut self, class: usize, answer: usize) {
        debug_assert!(class < self.n_classes && answer < self.n_classes);
        self.counts[class * self.n_classes + answer] += 1;
    }

    /// Classes there are.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// How often `class` was taken for each class.
    pub fn row(&self, class: usize) -> &[u64] {
        &self.counts[class * self.n_classes..][..self.n_classes]
    }

    /// Mean of the shares of each class that were answered right, over the classes that are
    /// there: what the SBM sets are measured by, Dwivedi et al. 2020, §4.1
    /// <https://arxiv.org/abs/2003.00982>.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        let recall = |class: usize| share(self.row(class)[class], self.row(class).iter().sum());
        let recalls: Vec<f64> = (0..self.n_classes).filter_map(recall).collect();
        (!recalls.is_empty()).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64)
    }

    /// Mean of the F1 scores of the classes that are there: `2 tp / (2 tp + fp + fn)`. A
    /// class that neither is right nor was answered anywhere does not count.
    ///
    /// Opitz & Burst 2019, §2 <https://arxiv.org/abs/1911.03347>, the averaged F1.
    pub fn macro_f1(&self) -> Option<f64> {
        let f1 = |class: usize| {
            let hits = self.row(class)[class];
            let is_class: u64 = self.row(class).iter().sum();
            let is_answer: u64 = (0..self.n_classes).map(|of| self.row(of)[class]).sum();
            share(2 * hits, is_class + is_answer)
        };
        let scores: Vec<f64> = (0..self.n_classes).filter_map(f1).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }

    fn add(&mut self, other: &Self) {
        if self.n_classes < other.n_classes {
            let mut grown = Self::new(other.n_classes);
            grown.add(self);
            *self = grown;
        }
        for class in 0..other.n_classes {
            for (answer, n) in other.row(class).iter().enumerate() {
                self.counts[class * self.n_classes + answer] += n;
            }
        }
    }
}

impl Ranks {
    /// Area under the curve of true against false positives: the probability that a
    /// present pair scores above an absent one, ties counting half (Hanley & McNeil 1982).
    pub fn roc_auc(&self) -> Option<f64> {
        let (n, m) = (self.present.len(), self.absent.len());
        if n == 0 || m == 0 {
            return None;
        }
        let mut absent = self.absent.clone();
        absent.sort_by(f32::total_cmp);
        let below = |score: f32| {
            let under = absent.partition_point(|&other| other < score);
            let level = absent.partition_point(|&other| other <= score) - under;
            under as f64 + level as f64 / 2.0
        };
        let wins: f64 = self.present.iter().map(|&score| below(score)).sum();
        Some(wins / (n as f64 * m as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confused(pairs: &[(usize, usize)], n_classes: usize) -> Confusion {
        let mut confusion = Confusion::new(n_classes);
        for &(class, answer) in pairs {
            confusion.note(class, answer);
        }
        confusion
    }

    #[test]
    fn macro_f1_is_the_mean_of_the_classes_that_are_there() {
        // Class 0: 2 hits, 1 taken for 1. Class 1: 1 hit. Class 2 is nowhere.
        let confusion = confused(&[(0, 0), (0, 0), (0, 1), (1, 1)], 3);
        let want = (4.0 / 5.0 + 2.0 / 3.0) / 2.0;
        assert!((confusion.macro_f1().unwrap() - want).abs() < 1e-12);
        assert_eq!(confused(&[], 3).macro_f1(), None);
        let want = (2.0 / 3.0 + 1.0) / 2.0;
        assert!((confusion.balanced_accuracy().unwrap() - want).abs() < 1e-12);
    }

    #[test]
    fn batches_add_up_whatever_is_first() {
        let part = |pairs: &[(usize, usize)]| Evaluation {
            loss_sum: 1.0,
            n_targets: pairs.len(),
            n_correct: pairs.iter().filter(|(a, b)| a == b).count(),
            outcome: Outcome::Classes(confused(pairs, 2)),
        };
        let mut sum = Evaluation::default();
        sum += part(&[(0, 0), (1, 0)]);
        sum += part(&[(1, 1)]);
        assert_eq!(sum.loss(), Some(2.0 / 3.0));
        let whole = part(&[(0, 0), (1, 0), (1, 1)]);
        assert_eq!(sum.scores(), whole.scores());
        assert_eq!(sum.scores().accuracy, Some(2.0 / 3.0));
        assert_eq!(Evaluation::default().scores(), Scores::default());
    }

    #[test]
    fn a_rank_is_the_chance_of_being_above_with_ties_half() {
        let ranks = Ranks {
            present: vec![0.9, 0.5],
            absent: vec![0.5, 0.1],
        };
        assert_eq!(ranks.roc_auc(), Some(3.5 / 4.0));
        let one_sided = Ranks {
            present: vec![1.0],
            absent: Vec::new(),
        };
        assert_eq!(one_sided.roc_auc(), None);
    }

    #[test]
    fn words_are_counted_where_a_symbol_stands_between_them() {
        let of = |text: &str| text.bytes().map(u32::from).collect::<Vec<_>>();
        let rates = |pairs: &[(&str, &str)], separator: Option<u8>| {
            let mut edits = Edits::default();
            for (spelt, right) in pairs {
                edits.add(&of(spelt), &of(right), separator.map(u32::from));
            }
            (
                edits.symbols_wrong,
                edits.n_symbols,
                edits.words_wrong,
                edits.n_words,
            )
        };
        // One word of three is another, by one letter of eleven.
        assert_eq!(
            rates(&[("one ton six", "one two six")], Some(b' ')),
            (2, 11, 1, 3)
        );
        // A lost space makes two words one: one substituted, one deleted.
        assert_eq!(rates(&[("onetwo", "one two")], Some(b' ')), (1, 7, 2, 2));
        // Spaces at ends or in a row are wrong symbols, but no words.
        assert_eq!(
            rates(&[(" one  two", "one two ")], Some(b' ')),
            (3, 8, 0, 2)
        );
        // Nothing is right, or was said.
        assert_eq!(rates(&[("one", ""), ("", "two")], Some(b' ')), (6, 3, 2, 1));
        // Sums go over recordings.
        let two = [("a b", "a b"), ("a c", "a b")];
        assert_eq!(rates(&two, Some(b' ')), (1, 6, 1, 4));
        assert_eq!(rates(&two, None), (1, 6, 0, 0));
    }

    #[test]
    fn errors_and_edits_become_rates() {
        let errors = Evaluation {
            n_targets: 2,
            outcome: Outcome::Errors(Errors {
                absolute: 3.0,
                squared: 5.0,
            }),
            ..Evaluation::default()
        };
        assert_eq!(errors.scores().mae, Some(1.5));
        assert_eq!(errors.scores().rmse, Some(2.5f64.sqrt()));
        let edits = Evaluation {
            n_targets: 1,
            outcome: Outcome::Edits(Edits {
                symbols_wrong: 1,
                n_symbols: 4,
                words_wrong: 0,
                n_words: 0,
            }),
            ..Evaluation::default()
        };
        assert_eq!(edits.scores().cer, Some(0.25));
        assert_eq!(edits.scores().wer, None);
    }
}
