//! How fast each parameter learns.

use crate::config::{InitTable, is_head};

/// What `train.lr`, here `lr`, is multiplied by for the parameter `name` of a model of
/// `n_layers` blocks.
///
/// With `layer_decay = d`, block `i` of `n` has `d^(n - i)`, what lies before the first
/// block `d^(n + 1)`, the last norm and the head 1, as in BEiT (Bao et al. 2021, appendix
/// <https://arxiv.org/abs/2106.08254>). A rate that is written for a name is that rate.
pub fn lr_scale(table: &InitTable, name: &str, lr: f64, n_layers: usize) -> f64 {
    let of_name = table.lr().iter().filter(|(names, _)| names.matches(name));
    if let Some((_, rate)) = of_name.max_by_key(|(names, _)| names.to_string().len()) {
        return rate / lr;
    }
    let Some(decay) = table.layer_decay() else {
        return 1.0;
    };
    let behind = n_layers + 1 - depth(name, n_layers);
    decay.powi(i32::try_from(behind).unwrap_or(i32::MAX))
}

/// How deep the parameter `name` lies: 0 before the first block, `n_layers + 1` behind the
/// last.
fn depth(name: &str, n_layers: usize) -> usize {
    let mut parts = name.split('.');
    match (parts.next(), parts.next()) {
        (Some("blocks" | "layers"), Some(i)) => {
            i.parse::<usize>().map_or(0, |i| (i + 1).min(n_layers))
        }
        (Some("norm" | "pooler"), _) => n_layers + 1,
        _ if is_head(name) => n_layers + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(keys: &str) -> Result<InitTable, toml::de::Error> {
        toml::from_str(&format!("from = 'x'\n{keys}"))
    }

    #[test]
    fn each_block_learns_slower_than_the_next() -> Result<(), toml::de::Error> {
        let table = table("layer_decay = 0.5")?;
        for (name, want) in [
            ("embed.weight", 0.125),
            ("position.weight", 0.125),
            ("blocks.0.attn.wq.weight", 0.25),
            ("blocks.1.mlp.up.bias", 0.5),
            ("norm.weight", 1.0),
            ("pooler.weight", 1.0),
            ("head.bias", 1.0),
        ] {
            assert_eq!(lr_scale(&table, name, 1e-3, 2), want, "{name}");
        }
        Ok(())
    }

    #[test]
    fn a_rate_that_is_written_counts_the_longest_pattern_first() -> Result<(), toml::de::Error> {
        let table =
            table("layer_decay = 0.5\nlr = { '*.bias' = 2e-3, 'head.*' = 4e-3, '*' = 1e-3 }")?;
        for (name, want) in [
            ("head.weight", 4.0),
            ("head.bias", 4.0),
            ("norm.bias", 2.0),
            ("norm.weight", 1.0),
        ] {
            let scale = lr_scale(&table, name, 1e-3, 2);
            assert!((scale - want).abs() < 1e-12, "{name}: {scale}");
        }
        Ok(())
    }
}
