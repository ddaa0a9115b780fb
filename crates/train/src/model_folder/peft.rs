//! Names of adapters as PEFT has them <https://github.com/huggingface/peft>.

use std::collections::{BTreeMap, BTreeSet};

use attn_core::lora;
use models::Kind;

use super::Description;

/// What stands before every name.
const PREFIX: &str = "base_model.model.";

/// Names of parameters, and what they are called in a file of PEFT's form.
#[derive(Debug, Default)]
pub(super) struct Names {
    ours: BTreeMap<String, String>,
}

impl Names {
    /// Of the parameters called `ours`.
    pub(super) fn of<'a>(ours: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            ours: ours
                .into_iter()
                .map(|ours| (theirs(ours), ours.to_owned()))
                .collect(),
        }
    }

    /// The parameter that is called `theirs` in the file; what is not of PEFT's form is
    /// its own name.
    pub(super) fn ours(&self, theirs: &str) -> String {
        self.ours.get(theirs).map_or(theirs, |ours| ours).to_owned()
    }
}

/// What the parameter `ours` is called.
pub(super) fn theirs(ours: &str) -> String {
    let name = match (ours.strip_suffix(lora::A), ours.strip_suffix(lora::B)) {
        (Some(module), _) => format!("{module}lora_A.weight"),
        (_, Some(module)) => format!("{module}lora_B.weight"),
        _ => ours.to_owned(),
    };
    format!("{PREFIX}{name}")
}

/// `adapter_config.json` of the adapters among the parameters called `names`; `None` where
/// there are none.
pub(super) fn config_json<'a>(
    description: &Description,
    names: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let init = description.config.init.as_ref()?;
    let lora = init.lora()?.adapter();
    let (mut targets, mut whole) = (BTreeSet::new(), BTreeSet::new());
    for name in names.map(theirs) {
        let name = name.strip_prefix(PREFIX).unwrap_or(&name);
        if let Some(module) = name.strip_suffix(".lora_A.weight") {
            targets.insert(module.to_owned());
        } else if let Some((module, _)) = name.rsplit_once('.')
            && !name.contains(".lora_B.")
        {
            whole.insert(module.to_owned());
        }
    }
    let kind = description.config.model.kind();
    let json = serde_json::json!({
        "peft_type": "LORA",
        "task_type": match kind {
            Kind::TextLm => Some("CAUSAL_LM"),
            Kind::TextClassifier => Some("SEQ_CLS"),
            _ => None,
        },
        "base_model_name_or_path": init.from().display().to_string(),
        "r": lora.rank(),
        "lora_alpha": lora.alpha(),
        "lora_dropout": lora.dropout(),
        "target_modules": targets,
        "modules_to_save": whole,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
    });
    Some(format!("{json:#}\n"))
}
