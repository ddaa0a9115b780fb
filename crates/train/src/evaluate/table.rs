//! What was measured, as a table for people.

use std::fmt::Write;

use models::{Confusion, Evaluation, Outcome};

/// Most classes whose confusion is drawn.
const MAX_DRAWN: usize = 24;
/// Most characters of a class's name.
const MAX_NAME: usize = 16;

/// The figures that apply, one a line, and who was taken for whom.
pub fn table(evaluation: &Evaluation, labels: &[String]) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<18}{value:>12}");
    };
    row("targets", evaluation.n_targets.to_string());
    let scores = evaluation.scores();
    for (name, value) in std::iter::once(("loss", evaluation.loss())).chain(scores.named()) {
        if let Some(value) = value {
            row(name, format!("{value:.4}"));
        }
    }
    match &evaluation.outcome {
        Outcome::Classes(confusion) if confusion.n_classes() <= MAX_DRAWN => {
            text.push_str(&drawn(confusion, labels));
        }
        _ => {}
    }
    text
}

/// A row for each true class, a column for each answer, and the recall of the class.
fn drawn(confusion: &Confusion, labels: &[String]) -> String {
    let n = confusion.n_classes();
    let names: Vec<String> = (0..n)
        .map(|class| match labels.get(class) {
            Some(label) => label.chars().take(MAX_NAME).collect(),
            None => class.to_string(),
        })
        .collect();
    let counts = (0..n).flat_map(|class| confusion.row(class));
    let widest = counts.map(|count| count.to_string().len()).max();
    let column = 2 + widest
        .unwrap_or(1)
        .max(n.saturating_sub(1).to_string().len());
    let name = names.iter().map(|name| name.chars().count()).max();
    let name = name.unwrap_or(0);
    let mut text = format!("\n  {:<name$}     ", "");
    for class in 0..n {
        let _ = write!(text, "{class:>column$}");
    }
    text.push_str("   recall\n");
    for (class, label) in names.iter().enumerate() {
        let row = confusion.row(class);
        let _ = write!(text, "  {label:<name$}  {class:>3}");
        for count in row {
            let _ = write!(text, "{count:>column$}");
        }
        let all: u64 = row.iter().sum();
        match all {
            0 => text.push_str("        -"),
            _ => {
                let _ = write!(text, "{:>9.4}", row[class] as f64 / all as f64);
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_class_and_a_column_an_answer() {
        let mut confusion = Confusion::new(3);
        for (class, answer) in [(0, 0), (0, 1), (1, 1)] {
            confusion.note(class, answer);
        }
        let evaluation = Evaluation {
            loss_sum: 1.5,
            n_targets: 3,
            n_correct: 2,
            outcome: Outcome::Classes(confusion),
        };
        let labels = ["cat".to_owned(), "a dog".to_owned(), "none".to_owned()];
        let want = "  targets                      3
  loss                    0.5000
  accuracy                0.6667
  balanced_accuracy       0.7500
  macro_f1                0.6667

              0  1  2   recall
  cat      0  1  1  0   0.5000
  a dog    1  0  1  0   1.0000
  none     2  0  0  0        -
";
        assert_eq!(table(&evaluation, &labels), want);
    }

    #[test]
    fn a_vocabulary_is_not_drawn() {
        let evaluation = Evaluation {
            outcome: Outcome::Classes(Confusion::new(MAX_DRAWN + 1)),
            ..Evaluation::default()
        };
        assert!(!table(&evaluation, &[]).contains("recall"));
    }
}
