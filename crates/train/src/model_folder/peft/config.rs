//! `adapter_config.json`: what PEFT must know of adapters.

use std::collections::{BTreeMap, BTreeSet};

use models::Kind;
use serde_json::json;

use super::{Layout, PREFIX};
use crate::config::RunConfig;

/// The text of the file for adapters of `layout`, which a run of `config` has trained;
/// `None` if it trained none.
pub(in crate::model_folder) fn config_json(config: &RunConfig, layout: &Layout) -> Option<String> {
    let init = config.init.as_ref()?;
    let lora = init.lora()?.adapter();
    let whole: BTreeSet<&str> = layout
        .pieces
        .iter()
        .filter(|piece| !piece.is_adapter())
        .filter_map(|piece| Some(piece.name.strip_prefix(PREFIX)?.rsplit_once('.')?.0))
        .collect();
    let names: Vec<&str> = layout.modules.iter().map(|m| m.name.as_str()).collect();
    // Of modules that are several projections: as many times the rank, and the same factor.
    let wide = || layout.modules.iter().filter(|module| module.n_parts > 1);
    let ranks: BTreeMap<&str, usize> = wide()
        .map(|module| (module.name.as_str(), module.n_parts * lora.rank()))
        .collect();
    let alphas: BTreeMap<&str, f64> = wide()
        .map(|module| (module.name.as_str(), module.n_parts as f64 * lora.alpha()))
        .collect();
    let json = json!({
        "peft_type": "LORA",
        "task_type": match config.model.kind() {
            Kind::TextLm => Some("CAUSAL_LM"),
            // Told "SEQ_CLS", PEFT would ask for the whole head, even one that was kept.
            _ => None,
        },
        "base_model_name_or_path": init.from().display().to_string(),
        "r": lora.rank(),
        "lora_alpha": lora.alpha(),
        "lora_dropout": lora.dropout(),
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "target_modules": names,
        "modules_to_save": whole,
        "bias": "none",
        "fan_in_fan_out": layout.transposed,
        "inference_mode": true,
    });
    Some(format!("{json:#}\n"))
}
