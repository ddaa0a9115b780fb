//! Any model of graphs.

use std::sync::Arc;

use attn_core::input::Graphs;
use attn_core::{IGNORED, Linear, Mask, Pass, Pattern, Stack, Targets};
use candle_core::{D, DType, Error, Result, Tensor, bail};
use candle_nn::VarBuilder;
use kernels::{CrossEntropy, Pool};

use super::layers::Layers;
use super::weighted::balanced_loss;
use crate::evaluation::{Errors, Evaluation, Outcome, Ranks};
use crate::first_weights::first_weights;
use crate::objective::{self, LossOptions};
use crate::{Kind, ModelConfig};

/// Layers over the nodes of graphs, and a head: classes of nodes, classes or numbers of
/// graphs, or links.
///
/// Parameters, under the prefix of the builder: those of the backbone, and `head`, which a
/// backbone of plain layers does without where nodes are to be told apart: its last layer
/// scores the classes.
#[derive(Debug, Clone)]
pub struct GraphModel {
    layers: Layers,
    head: Head,
    pattern: Pattern,
    balanced: bool,
}

#[derive(Debug, Clone)]
enum Head {
    /// Scores of classes for each node; the rows themselves if there is no map.
    Nodes(Option<Linear>),
    /// Scores of classes for each graph.
    Classes(Pool, Linear),
    /// A number for each graph, in standard deviations from the mean.
    Numbers(Pool, Linear, Scale),
    /// Vectors of nodes, whose products score links: Kipf & Welling 2016
    /// <https://arxiv.org/abs/1611.07308>.
    Links(Linear),
}

#[derive(Debug, Clone, Copy)]
struct Scale {
    mean: f64,
    deviation: f64,
}

impl GraphModel {
    /// Creates the model, taking its parameters from `vb`.
    ///
    /// # Errors
    ///
    /// If `config` is of another modality, a size is still left to the data, or `vb` lacks
    /// a parameter or has it in another shape.
    pub fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let Some(graph) = config.graph() else {
            bail!("kind = \"{}\" reads no graphs", config.kind());
        };
        let d_model = config.d_model();
        let n_classes = config.n_classes().map_err(Error::wrap)?;
        let ends = config.kind() == Kind::GraphNodes && Layers::can_end(config);
        let d_out = n_classes.filter(|_| ends).unwrap_or(d_model);
        let linear =
            |d_out, bias| Linear::new(d_model, d_out, bias, first_weights(config), vb.pp("head"));
        let pool: Pool = config.pooling().unwrap_or_default().into();
        let (mean, deviation) = graph.scale();
        let head = match (config.kind(), n_classes) {
            (Kind::GraphNodes, Some(_)) if ends => Head::Nodes(None),
            (Kind::GraphNodes, Some(n)) => Head::Nodes(Some(linear(n, config.bias())?)),
            (Kind::GraphClassifier, Some(n)) => Head::Classes(pool, linear(n, config.bias())?),
            (Kind::GraphRegression, _) => {
                Head::Numbers(pool, linear(1, config.bias())?, Scale { mean, deviation })
            }
            (Kind::GraphLinks, _) => Head::Links(linear(d_model, false)?),
            (kind, _) => bail!("kind = \"{kind}\" is no kind of graph model"),
        };
        Ok(Self {
            layers: Layers::new(config, d_out, vb)?,
            head,
            pattern: config.mask().into(),
            balanced: graph.balanced(),
        })
    }

    /// What the model makes of graphs.
    ///
    /// # Shapes
    ///
    /// - `graphs`: `n` nodes in `batch` graphs, the walls of `mask`
    /// - returns: scores `[n, n_classes]` of nodes, `[batch, n_classes]` of graphs; numbers
    ///   `[batch, 1]` in the unit of the data; or vectors `[n, d_model]`, whose products
    ///   are the log odds of links
    ///
    /// # Errors
    ///
    /// Graphs of other widths than the model reads, or walls that edges cross.
    pub fn logits(&self, graphs: &Graphs, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let x = self.rows(graphs, mask, pass)?;
        match &self.head {
            Head::Nodes(None) => Ok(x),
            Head::Nodes(Some(head)) | Head::Classes(_, head) | Head::Links(head) => {
                head.forward_with(&x, None, None)
            }
            Head::Numbers(_, head, scale) => head
                .forward_with(&x, None, None)?
                .affine(scale.deviation, scale.mean),
        }
    }

    /// The log odds that the nodes of each pair are linked.
    ///
    /// # Shapes
    ///
    /// - `graphs`: as in [`GraphModel::logits`]
    /// - `pairs`: nodes among all of `graphs`
    /// - returns: `[pairs, 1]`
    ///
    /// # Errors
    ///
    /// As [`GraphModel::logits`], a node that is not there, and a model that was not asked
    /// about links.
    pub fn link_scores(
        &self,
        graphs: &Graphs,
        mask: &Mask,
        pairs: &[[u32; 2]],
        pass: Pass,
    ) -> Result<Tensor> {
        let Head::Links(head) = &self.head else {
            bail!("the model knows of no links");
        };
        let x = self.rows(graphs, mask, pass)?;
        scores(&head.forward_with(&x, None, None)?, pairs)
    }

    /// What training minimises: the mean surprise at classes or links, in nats, or the mean
    /// square of the error, in standard deviations.
    ///
    /// # Shapes
    ///
    /// - `graphs`: as in [`GraphModel::logits`]
    /// - `targets`: classes `[n]` or `[batch]`, numbers `[batch]`, or links
    /// - returns: a scalar
    ///
    /// # Errors
    ///
    /// As [`GraphModel::logits`], and targets that the model does not have.
    pub fn loss(
        &self,
        graphs: &Graphs,
        mask: &Mask,
        targets: &Targets,
        options: LossOptions,
        pass: Pass,
    ) -> Result<Tensor> {
        let x = self.rows(graphs, mask, pass)?;
        match (&self.head, targets) {
            (Head::Nodes(head), Targets::Classes(classes)) if self.balanced => {
                let logits = match head {
                    None => x,
                    Some(head) => head.forward_with(&x, None, None)?,
                };
                balanced_loss(&logits, classes, options)
            }
            (Head::Classes(_, head), Targets::Classes(classes)) if self.balanced => {
                balanced_loss(&head.forward_with(&x, None, None)?, classes, options)
            }
            (Head::Nodes(None), Targets::Classes(classes)) => surprise(&x, classes, options),
            (Head::Nodes(Some(head)) | Head::Classes(_, head), Targets::Classes(_)) => {
                objective::loss(head, &x, targets, options)
            }
            (Head::Numbers(_, head, scale), Targets::Numbers(numbers)) => {
                let differences =
                    scale.differences(&head.forward_with(&x, None, None)?, numbers)?;
                let n = options.divisor.unwrap_or(targets.count() as f64);
                differences.sqr()?.sum_all()? * (1.0 / n)
            }
            (Head::Links(head), Targets::Links { pairs, present }) => {
                let scores = scores(&head.forward_with(&x, None, None)?, pairs)?;
                surprise(&with_zeros(&scores)?, present, options)
            }
            (_, other) => bail!("the model cannot be trained on {other:?}"),
        }
    }

    /// How well the model does on a batch, without dropout and smoothing; classes count as
    /// often as they are there.
    ///
    /// # Errors
    ///
    /// As [`GraphModel::loss`].
    pub fn evaluate(&self, graphs: &Graphs, mask: &Mask, targets: &Targets) -> Result<Evaluation> {
        let x = self.rows(graphs, mask, Pass::eval())?;
        match (&self.head, targets) {
            (Head::Nodes(None), Targets::Classes(_)) => objective::evaluate_classes(&x, targets),
            (Head::Nodes(Some(head)) | Head::Classes(_, head), Targets::Classes(_)) => {
                objective::evaluate_classes(&head.forward_with(&x, None, None)?, targets)
            }
            (Head::Numbers(_, head, scale), Targets::Numbers(numbers)) => {
                let answers = head.forward_with(&x, None, None)?;
                scale.evaluate(&scale.differences(&answers, numbers)?, targets.count())
            }
            (Head::Links(head), Targets::Links { pairs, present }) => {
                let scores = scores(&head.forward_with(&x, None, None)?, pairs)?;
                let classes = Targets::Classes(present.clone());
                let mut evaluation = objective::evaluate_classes(&with_zeros(&scores)?, &classes)?;
                evaluation.outcome = Outcome::Ranks(ranks(&scores, present)?);
                Ok(evaluation)
            }
            (_, other) => bail!("the model cannot be measured on {other:?}"),
        }
    }

    /// One vector a graph, `[batch, d_model]`: what the head reads.
    ///
    /// # Errors
    ///
    /// As [`GraphModel::logits`], and a model that answers node by node.
    pub(crate) fn pooled(&self, graphs: &Graphs, mask: &Mask, pass: Pass) -> Result<Tensor> {
        match &self.head {
            Head::Classes(..) | Head::Numbers(..) => self.rows(graphs, mask, pass),
            Head::Nodes(_) | Head::Links(_) => {
                bail!("the model answers node by node and makes no vector of a graph")
            }
        }
    }

    /// The pattern of the masks of batches: walls, without edges.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The blocks, to look at, where they are a stack.
    pub fn stack(&self) -> Option<&Stack> {
        self.layers.stack()
    }

    /// What the head reads: a row a node, or a row a graph.
    fn rows(&self, graphs: &Graphs, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let x = self.layers.forward(graphs, mask, pass)?;
        match &self.head {
            Head::Nodes(_) | Head::Links(_) => Ok(x),
            Head::Classes(pool, _) | Head::Numbers(pool, ..) => {
                kernels::segment_pool(&x, mask.cu_seqlens().clone(), *pool)
            }
        }
    }
}

fn surprise(logits: &Tensor, classes: &Arc<[u32]>, options: LossOptions) -> Result<Tensor> {
    let objective = CrossEntropy {
        ignore_index: Some(IGNORED),
        label_smoothing: options.label_smoothing,
        divisor: options.divisor,
    };
    kernels::cross_entropy(logits, classes.clone(), &objective)
}

/// The product of the rows of each pair.
///
/// # Shapes
///
/// - `x`: `[n, d]`
/// - returns: `[pairs, 1]`
fn scores(x: &Tensor, pairs: &[[u32; 2]]) -> Result<Tensor> {
    let ends = |end: usize| kernels::embedding(pairs.iter().map(|pair| pair[end]).collect(), x);
    (ends(0)? * ends(1)?)?.sum_keepdim(D::Minus1)
}

/// The two classes of a link: a score of 0 that there is none, and its own that there is.
fn with_zeros(scores: &Tensor) -> Result<Tensor> {
    Tensor::cat(&[&scores.zeros_like()?, scores], 1)
}

fn ranks(scores: &Tensor, present: &[u32]) -> Result<Ranks> {
    let scores = scores
        .flatten_all()?
        .to_dtype(DType::F32)?
        .to_vec1::<f32>()?;
    let of = |class: u32| {
        let both = scores.iter().zip(present);
        both.filter(|&(_, &p)| p == class)
            .map(|(&s, _)| s)
            .collect()
    };
    Ok(Ranks {
        present: of(1),
        absent: of(0),
    })
}

impl Scale {
    /// How far each answer is off, in standard deviations; 0 where nothing is asked.
    fn differences(self, answers: &Tensor, numbers: &[f32]) -> Result<Tensor> {
        let (n, _) = answers.dims2()?;
        if numbers.len() != n {
            bail!("{n} answers, but {} numbers", numbers.len());
        }
        let standard = |x: &f32| (f64::from(*x) - self.mean) / self.deviation;
        let wanted: Vec<f64> = numbers
            .iter()
            .map(|x| if x.is_nan() { 0.0 } else { standard(x) })
            .collect();
        let asked: Vec<f64> = numbers
            .iter()
            .map(|x| f64::from(u8::from(!x.is_nan())))
            .collect();
        let column =
            |values| Tensor::from_vec(values, (n, 1), answers.device())?.to_dtype(answers.dtype());
        (answers * column(asked)?)? - column(wanted)?
    }

    fn evaluate(self, differences: &Tensor, n_targets: usize) -> Result<Evaluation> {
        let differences = differences
            .flatten_all()?
            .to_dtype(DType::F64)?
            .to_vec1::<f64>()?;
        let squared: f64 = differences.iter().map(|x| x * x).sum();
        let absolute: f64 = differences.iter().map(|x| x.abs()).sum();
        Ok(Evaluation {
            loss_sum: squared,
            n_targets,
            n_correct: 0,
            outcome: Outcome::Errors(Errors {
                absolute: absolute * self.deviation,
                squared: squared * self.deviation * self.deviation,
            }),
        })
    }
}
