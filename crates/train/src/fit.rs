//! A run from beginning to end, or from where it was left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use attn_core::mask::Pattern;
use data::{Batch, Loader, Open, Prefetch, Samples};
use models::{Evaluation, Scores};

use crate::checkpoint::{Best, Checkpoints, Identity, Snapshot, State};
use crate::config::{Document, Metric, RunConfig};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::init::{self, First, Init};
use crate::metrics::{MetricsFile, Record, Split};
use crate::model_folder::{self, Description};
use crate::progress::Progress;
use crate::run_dir::{self, RunDir, config_identity};
use crate::signals::Signals;
use crate::trainer::{Trainer, Update};
use crate::{device, embedded};

/// Batches made ahead of the one that is learnt from.
const AHEAD: usize = 4;

/// Where a run goes and how it starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// The run folder.
    pub out: PathBuf,
    /// Go on with the run in the folder.
    pub resume: bool,
    /// Show nothing but errors.
    pub quiet: bool,
}

/// Trains what `document` describes. Returns the folder of the finished model.
///
/// # Errors
///
/// Everything that can stop a run; see [`Error`]. What was saved stays.
pub fn fit(document: &Document, options: &Options) -> Result<PathBuf> {
    let (document, init) = init::complete(document)?;
    let config = RunConfig::of(&document)?;
    let signals =
        Signals::listen().map_err(|source| Error::Unavailable(format!("signals: {source}")))?;
    device::pool(config.run.threads())?
        .install(|| Run::open(&document, &config, init, options)?.train(&signals))
}

/// A run in progress.
struct Run {
    config: RunConfig,
    dataset: Dataset,
    dir: RunDir,
    trainer: Trainer,
    /// Hash of the weights that adapters belong to, if adapters are trained.
    base: Option<blake3::Hash>,
    checkpoints: Checkpoints,
    metrics: MetricsFile,
    progress: Progress,
    state: State,
    /// Updates in all.
    steps: u64,
    loader: Loader,
    val: Option<Arc<dyn Samples>>,
    pattern: Pattern,
}

/// Time since this process took over, and since the last record.
struct Clock {
    began: Instant,
    before: f64,
    mark: Instant,
    tokens: u64,
}

impl Run {
    fn open(
        document: &Document,
        config: &RunConfig,
        init: Option<Init>,
        options: &Options,
    ) -> Result<Self> {
        let device = device::open(config, document)?;
        let open = Open {
            seed: config.run.seed(),
            embedded: Some(embedded::TEXT),
            features: match options.resume {
                true => run_dir::features(&options.out)?,
                false => None,
            },
            ..Open::default()
        };
        let open = match &init {
            Some(init) => init.tell(&config.data, open),
            None => open,
        };
        let dataset = Dataset::open(config.model.kind(), &config.data, &open)?;
        let config = config
            .resolve(dataset.sizes(&config.data))
            .map_err(|error| document.reject("model", &error.to_string()))?;
        let has_words = config
            .model
            .speech()
            .and_then(|s| s.word_separator())
            .is_some();
        if config.eval.metric() == Metric::Wer && !has_words {
            let message = "metric = \"wer\" but no text has a space between words; use \"cer\"";
            return Err(document.reject("eval", message).into());
        }
        let train = config.train.clone();
        let pattern: Pattern = config.model.mask().into();

        let samples = dataset.split(Split::Train)?.ok_or_else(no_training_data)?;
        let loader = Loader::shuffled(
            samples,
            pattern.clone(),
            train.batch_size(),
            config.run.seed(),
        );
        let loader = match train.bucket() || train.batch_tokens().is_some() {
            true => loader.bucketed(train.batch_limit(), train.bucket()),
            false => loader,
        };
        let steps = train
            .length()
            .steps(loader.steps_per_epoch(train.accumulate()));

        // Refused, if it does not fit, before the run has a folder.
        let (first, report) = match init {
            Some(init) => {
                let (first, report) = init.first(&config, dataset.tokenizer())?;
                (first, Some(report))
            }
            None => (First::default(), None),
        };

        let text = config.to_toml();
        let dir = match options.resume {
            true => RunDir::resume(&options.out, &text)?,
            false => RunDir::create(&options.out, &text)?,
        };
        if let Some(statistics) = dataset.features() {
            dir.write_features(statistics)?;
        }
        let identity = Identity {
            config: config_identity(&text).map_err(Error::Data)?,
            data: dataset.fingerprint(),
        };
        let mut checkpoints =
            Checkpoints::new(&dir.checkpoints(), config.checkpoint.keep(), identity);
        let mut trainer = Trainer::new(&config, steps, &device, &first)?;
        let (state, metrics) = match checkpoints.newest()? {
            None => (State::initial(), MetricsFile::create(&dir.metrics())?),
            Some(checkpoint) => {
                let model = &checkpoint.model;
                if model_folder::base_of(model.path(), model.metadata())? != first.base() {
                    return Err(other_base(&checkpoint.path));
                }
                trainer.restore(&checkpoint)?;
                let (metrics, cut) =
                    MetricsFile::resume(&dir.metrics(), checkpoint.state.metrics_bytes)?;
                tracing::info!(
                    "{}: {} lines are written again",
                    dir.metrics().display(),
                    cut.lines
                );
                (checkpoint.state, metrics)
            }
        };
        let progress = Progress::new(state.step, steps, options.quiet);
        if let Some(report) = &report {
            progress.note(&report.to_string());
        }
        let val = dataset.split(Split::Val)?;
        Ok(Self {
            config,
            dataset,
            dir,
            trainer,
            base: first.base(),
            checkpoints,
            metrics,
            progress,
            state,
            steps,
            loader,
            val,
            pattern,
        })
    }

    fn train(mut self, signals: &Signals) -> Result<PathBuf> {
        let accumulate = self.config.train.accumulate();
        let mut ahead = Prefetch::new(self.loader.clone(), self.consumed(), AHEAD)
            .map_err(|source| Error::Unavailable(format!("cannot start a thread: {source}")))?;
        let mut clock = Clock::start(&self.state);
        let mut stopped_early = self.out_of_patience();
        while self.state.step < self.steps && !stopped_early {
            let batches = self.next_batches(&mut ahead, accumulate)?;
            let update = self.trainer.update(self.state.step, &batches)?;
            self.advance(&batches);
            clock.tokens += batches.iter().map(|b| b.n_positions() as u64).sum::<u64>();
            let last = self.state.step == self.steps;
            self.progress.step(self.state.step);
            if last
                || self
                    .state
                    .step
                    .is_multiple_of(self.config.train.log_every())
            {
                self.record_update(&update, &mut clock)?;
            }
            let mut save = last
                || self
                    .state
                    .step
                    .is_multiple_of(self.config.checkpoint.every());
            if last || self.state.step.is_multiple_of(self.config.eval.every()) {
                save |= self.validate(last, &clock)?;
                stopped_early = self.out_of_patience();
                clock.restart();
            }
            let stop = signals.stop();
            if save || stopped_early || stop.is_some() || signals.take_save_request() {
                self.save(&clock)?;
            }
            if let Some(exit) = stop.filter(|_| !last && !stopped_early) {
                self.progress.finish();
                return Err(Error::Stopped { exit });
            }
        }
        self.finish(&clock)
    }

    /// Samples learnt from since the first step.
    fn consumed(&self) -> u64 {
        self.state.epoch * self.loader.samples_per_epoch() + self.state.position
    }

    fn next_batches(&self, ahead: &mut Prefetch, n: usize) -> Result<Vec<Batch>> {
        let batches: Vec<Batch> = ahead.by_ref().take(n).collect::<Result<_, _>>()?;
        if batches.len() < n {
            return Err(Error::Unavailable(
                "the thread that reads data ended; start again with `--resume`".into(),
            ));
        }
        Ok(batches)
    }

    /// Notes that one more update was made.
    fn advance(&mut self, batches: &[Batch]) {
        let after = |position, _| self.loader.next(position);
        let consumed = (0..batches.len()).fold(self.consumed(), after);
        self.state.step += 1;
        self.state.epoch = consumed / self.loader.samples_per_epoch();
        self.state.position = consumed % self.loader.samples_per_epoch();
        self.state.tokens += batches.iter().map(|b| b.n_positions() as u64).sum::<u64>();
    }

    fn record_update(&mut self, update: &Update, clock: &mut Clock) -> Result<()> {
        let record = Record {
            lr: Some(update.lr),
            grad_norm: Some(update.grad_norm),
            tokens_per_s: Some(clock.tokens_per_s()),
            ..self.record_of(Split::Train, update.loss, clock)
        };
        clock.restart();
        self.write(&record)
    }

    /// Measures the model on the validation part; true if it is the best so far.
    fn validate(&mut self, last: bool, clock: &Clock) -> Result<bool> {
        let Some(val) = self.val.clone() else {
            return Ok(false);
        };
        let limit = self.config.eval.max_batches().filter(|_| !last);
        let evaluation = self.measure(&*val, limit)?;
        self.write_evaluation(Split::Val, &evaluation, clock)?;
        let chosen = self.config.eval.metric();
        let Some(metric) = chosen.of(&evaluation) else {
            return Ok(false);
        };
        let best = self.state.best;
        let better = best.is_none_or(|best| chosen.is_better(metric, best.metric));
        if better {
            self.state.best = Some(Best {
                step: self.state.step,
                metric,
            });
            self.state.evals_without_improvement = 0;
        } else {
            self.state.evals_without_improvement += 1;
        }
        Ok(better)
    }

    fn out_of_patience(&self) -> bool {
        let patience = self.config.eval.early_stopping();
        patience.is_some_and(|patience| self.state.evals_without_improvement >= u64::from(patience))
    }

    fn measure(&mut self, samples: &dyn Samples, limit: Option<usize>) -> Result<Evaluation> {
        let of_batch = self.config.eval.batch_limit(self.loader.batch_size());
        let pattern = &self.pattern;
        self.trainer
            .with_result(|model| evaluate(model, samples, pattern, of_batch, limit))
    }

    fn write_evaluation(
        &mut self,
        split: Split,
        evaluation: &Evaluation,
        clock: &Clock,
    ) -> Result<()> {
        let loss = evaluation.loss().unwrap_or(f64::NAN);
        let record = Record {
            scores: evaluation.scores(),
            ..self.record_of(split, loss, clock)
        };
        self.write(&record)
    }

    fn record_of(&self, split: Split, loss: f64, clock: &Clock) -> Record {
        Record {
            step: self.state.step,
            split,
            loss,
            lr: None,
            grad_norm: None,
            tokens_per_s: None,
            elapsed_s: clock.elapsed_s(),
            scores: Scores::default(),
        }
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        self.metrics.append(record)?;
        self.progress.record(record);
        Ok(())
    }

    fn save(&mut self, clock: &Clock) -> Result<()> {
        self.state.elapsed_s = clock.elapsed_s();
        self.state.metrics_bytes = self.metrics.sync()?;
        let metadata = self.describe(BTreeMap::new()).metadata();
        self.checkpoints.save(&Snapshot {
            state: &self.state,
            model: &self.trainer.weights(),
            metadata: &metadata,
            optimizer: &self.trainer.optimizer_state()?,
            ema: self.trainer.average()?.as_deref(),
        })?;
        Ok(())
    }

    /// Makes the model folder of the best weights, measured once on the test part.
    fn finish(mut self, clock: &Clock) -> Result<PathBuf> {
        if let Some(best) = self.state.best.filter(|best| best.step != self.state.step) {
            self.trainer.restore(&self.checkpoints.open(best.step)?)?;
        }
        let step = self.state.best.map_or(self.state.step, |best| best.step);
        let data = self.dataset.fingerprint().to_hex().to_string();
        let mut results = BTreeMap::from([
            ("step".to_owned(), step.to_string()),
            ("data, BLAKE3".to_owned(), data),
        ]);
        if let Some(best) = self.state.best {
            let metric = format!("val_{}", self.config.eval.metric());
            results.insert(metric, format!("{:.4}", best.metric));
        }
        if let Some(test) = self.dataset.split(Split::Test)? {
            let evaluation = self.measure(&*test, None)?;
            self.write_evaluation(Split::Test, &evaluation, clock)?;
            self.metrics.sync()?;
            let scores = evaluation.scores();
            for (name, value) in std::iter::once(("loss", evaluation.loss())).chain(scores.named())
            {
                results.extend(value.map(|value| (format!("test_{name}"), format!("{value:.4}"))));
            }
        }
        self.progress.finish();
        let folder = self.dir.model();
        let (description, weights) = (self.describe(results), self.trainer.result()?);
        match self.base {
            None => model_folder::write(&folder, &description, &weights)?,
            Some(_) => model_folder::write_adapters(&folder, &description, &weights)?,
        }
        Ok(folder)
    }

    /// Everything that the model is but its weights.
    fn describe(&self, results: BTreeMap<String, String>) -> Description {
        Description {
            config: self.config.clone(),
            tokenizer: self.dataset.tokenizer().cloned(),
            labels: self.dataset.labels().unwrap_or_default().to_vec(),
            graphs: self.dataset.graphs().cloned(),
            features: self.dataset.features().cloned(),
            results,
            base: self.base,
        }
    }
}

impl Clock {
    fn start(state: &State) -> Self {
        Self {
            began: Instant::now(),
            before: state.elapsed_s,
            mark: Instant::now(),
            tokens: 0,
        }
    }

    fn elapsed_s(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }

    fn tokens_per_s(&self) -> f64 {
        self.tokens as f64 / self.mark.elapsed().as_secs_f64().max(1e-9)
    }

    /// Begins to count anew, so that evaluations do not slow the figure down.
    fn restart(&mut self) {
        (self.mark, self.tokens) = (Instant::now(), 0);
    }
}

fn other_base(checkpoint: &Path) -> Error {
    Error::Data(format!(
        "{}: its adapters were trained beside other weights than those in init.from; put back the \
         model that the run began with",
        checkpoint.display()
    ))
}

fn no_training_data() -> Error {
    Error::Data("data.path: there is nothing to train on".into())
}
