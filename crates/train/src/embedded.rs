//! The text compiled into the program, which `path = "embedded"` stands for: documents
//! and sources of this workspace, so that a first run needs no download.

/// About 300 kB of prose and code, one file after the other.
pub const TEXT: &str = concat!(
    include_str!("../../../ARCHITECTURE.md"),
    include_str!("../../../CONTRIBUTING.md"),
    include_str!("../../attn-core/src/attend.rs"),
    include_str!("../../attn-core/src/attention.rs"),
    include_str!("../../attn-core/src/block.rs"),
    include_str!("../../attn-core/src/cache.rs"),
    include_str!("../../attn-core/src/dropout.rs"),
    include_str!("../../attn-core/src/embedding.rs"),
    include_str!("../../attn-core/src/linear.rs"),
    include_str!("../../attn-core/src/mask/mod.rs"),
    include_str!("../../attn-core/src/mask/pattern.rs"),
    include_str!("../../attn-core/src/mlp.rs"),
    include_str!("../../attn-core/src/norm.rs"),
    include_str!("../../attn-core/src/pass.rs"),
    include_str!("../../attn-core/src/position.rs"),
    include_str!("../../attn-core/src/stack.rs"),
    include_str!("../../attn-core/src/store/init.rs"),
    include_str!("../../attn-core/src/store/load.rs"),
    include_str!("../../attn-core/src/store/mod.rs"),
    include_str!("../../encodings/src/alibi.rs"),
    include_str!("../../encodings/src/config.rs"),
    include_str!("../../encodings/src/rotary.rs"),
    include_str!("../../encodings/src/sinusoidal.rs"),
    include_str!("../../models/src/config/mod.rs"),
    include_str!("../../models/src/cost.rs"),
    include_str!("../../models/src/model.rs"),
    include_str!("../../models/src/objective.rs"),
    include_str!("../../models/src/text/classifier.rs"),
    include_str!("../../models/src/text/lm.rs"),
    include_str!("../../models/src/text/trunk.rs"),
    include_str!("../../data/src/batch.rs"),
    include_str!("../../data/src/error.rs"),
    include_str!("../../data/src/loader.rs"),
    include_str!("../../data/src/order.rs"),
    include_str!("../../data/src/text/classes.rs"),
    include_str!("../../data/src/text/config.rs"),
    include_str!("../../data/src/text/language.rs"),
    include_str!("../../data/src/text/source/mod.rs"),
    include_str!("../../data/src/text/tokenizer/chars.rs"),
    include_str!("../../data/src/text/tokenizer/mod.rs"),
    include_str!("../../testkit/src/gradcheck.rs"),
    include_str!("../../testkit/src/oracle/attention.rs"),
    include_str!("../../testkit/src/oracle/loss.rs"),
    include_str!("../../testkit/src/oracle/optim.rs"),
    include_str!("../../testkit/src/reach.rs"),
    include_str!("config/document.rs"),
    include_str!("config/optimizer.rs"),
    include_str!("config/run.rs"),
    include_str!("config/run_config.rs"),
    include_str!("config/train.rs"),
    include_str!("config/wording.rs"),
    include_str!("error.rs"),
    include_str!("metrics.rs"),
    include_str!("run_dir/mod.rs"),
    include_str!("schedule.rs"),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_enough_to_learn_from() {
        assert!(TEXT.len() > 250_000, "{} bytes", TEXT.len());
    }
}
