//! What a person sees of a run while it goes on, all of it on standard error.
//!
//! A bar on a terminal; otherwise a plain line for every record. Whatever happens
//! to standard error, the run goes on: nobody needs to watch it.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::metrics::{Record, Split};

/// Shows how far a run is.
#[derive(Debug)]
pub struct Progress {
    steps: u64,
    /// Step at which this process took over.
    start: u64,
    began: Instant,
    display: Display,
}

#[derive(Debug)]
enum Display {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    /// Begins at step `start` of a run of `steps` updates; `quiet` shows nothing.
    pub fn new(start: u64, steps: u64, quiet: bool) -> Self {
        let display = match quiet {
            true => Display::Nothing,
            false if io::stderr().is_terminal() => Display::Bar(bar(start, steps)),
            false => Display::Lines,
        };
        Self {
            steps,
            start,
            began: Instant::now(),
            display,
        }
    }

    /// Tells that `step` updates have been made.
    pub fn step(&self, step: u64) {
        if let Display::Bar(bar) = &self.display {
            bar.set_position(step);
        }
    }

    /// Shows a record: training in the bar, evaluations as a line of their own.
    pub fn record(&self, record: &Record) {
        match &self.display {
            Display::Bar(bar) if record.split == Split::Train => {
                bar.set_position(record.step);
                bar.set_message(figures(record));
            }
            Display::Bar(_) | Display::Lines => self.note(&self.line(record)),
            Display::Nothing => {}
        }
    }

    /// Shows a line, above the bar where there is one.
    pub fn note(&self, text: &str) {
        match &self.display {
            Display::Bar(bar) => bar.suspend(|| write_line(text)),
            Display::Lines => write_line(text),
            Display::Nothing => {}
        }
    }

    /// Ends the display and leaves the bar where it is.
    pub fn finish(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.abandon();
        }
    }

    /// `step 100/2000  train  loss 2.3456  …  eta 34 seconds`
    fn line(&self, record: &Record) -> String {
        let Record { step, split, .. } = record;
        let mut line = format!(
            "step {step}/{}  {:5}  {}",
            self.steps,
            split.name(),
            figures(record)
        );
        if let (Split::Train, Some(left)) = (split, self.time_left(*step)) {
            line.push_str(&format!("  eta {}", HumanDuration(left)));
        }
        line
    }

    fn time_left(&self, step: u64) -> Option<Duration> {
        let (done, left) = (step.checked_sub(self.start)?, self.steps.checked_sub(step)?);
        let seconds = self.began.elapsed().as_secs_f64() * left as f64 / done as f64;
        Duration::try_from_secs_f64(seconds.round()).ok()
    }
}

fn bar(start: u64, steps: u64) -> ProgressBar {
    const TEMPLATE: &str = "{bar:24} {pos}/{len}  {msg}  eta {eta}";
    let style =
        ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar.set_position(start);
    bar.reset_eta();
    bar
}

/// `loss 2.3456  lr 1.00e-3  |g| 0.53  accuracy 0.912  12345 tokens/s`
fn figures(record: &Record) -> String {
    let mut text = format!("loss {:.4}", record.loss);
    let mut add = |part: Option<String>| part.into_iter().for_each(|p| text.push_str(&p));
    for (name, score) in record.scores.named() {
        add(score.map(|score| format!("  {name} {score:.4}")));
    }
    add(record.lr.map(|lr| format!("  lr {lr:.2e}")));
    add(record.grad_norm.map(|norm| format!("  |g| {norm:.2}")));
    add(record
        .tokens_per_s
        .map(|rate| format!("  {rate:.0} tokens/s")));
    text
}

/// Like `eprintln!`, which panics when nobody reads standard error.
fn write_line(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use models::Scores;

    use super::*;

    fn record(split: Split) -> Record {
        Record {
            step: 100,
            split,
            loss: 2.34567,
            lr: Some(3e-4),
            grad_norm: Some(0.534),
            tokens_per_s: Some(12345.6),
            elapsed_s: 3.0,
            scores: Scores::default(),
        }
    }

    #[test]
    fn a_line_says_where_the_run_is() {
        let progress = Progress {
            steps: 200,
            start: 0,
            began: Instant::now() - Duration::from_secs(30),
            display: Display::Lines,
        };
        assert_eq!(
            progress.line(&record(Split::Train)),
            "step 100/200  train  loss 2.3457  lr 3.00e-4  |g| 0.53  12346 tokens/s  eta 30 seconds"
        );
        let evaluated = Record {
            lr: None,
            grad_norm: None,
            tokens_per_s: None,
            scores: Scores {
                accuracy: Some(0.9),
                ..Scores::default()
            },
            ..record(Split::Val)
        };
        assert_eq!(
            progress.line(&evaluated),
            "step 100/200  val    loss 2.3457  accuracy 0.9000"
        );
    }

    #[test]
    fn time_left_counts_only_the_steps_of_this_process() {
        let progress = Progress {
            steps: 300,
            start: 100,
            began: Instant::now() - Duration::from_secs(10),
            display: Display::Nothing,
        };
        assert_eq!(progress.time_left(200), Some(Duration::from_secs(10)));
        assert_eq!(progress.time_left(100), None, "nothing is known yet");
        assert_eq!(progress.time_left(50), None);
    }

    #[test]
    fn a_bar_takes_every_kind_of_news_without_a_terminal() {
        let progress = Progress {
            steps: 200,
            start: 50,
            began: Instant::now(),
            display: Display::Bar(bar(50, 200)),
        };
        progress.step(99);
        progress.record(&record(Split::Train));
        progress.finish();
        let Display::Bar(bar) = &progress.display else {
            panic!("it is a bar");
        };
        assert_eq!(bar.position(), 100);
        assert_eq!(
            bar.message(),
            "loss 2.3457  lr 3.00e-4  |g| 0.53  12346 tokens/s"
        );
    }
}
