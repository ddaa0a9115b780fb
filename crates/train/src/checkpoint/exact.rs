//! Floating-point numbers in JSON that read back to the same bits.
//!
//! As strings, because JSON has no infinity, and because a JSON reader may round
//! the last digit the other way.

use serde::{Deserialize, Deserializer, Serializer, de};

pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;

    #[derive(Serialize, serde::Deserialize)]
    struct Number(#[serde(with = "super")] f64);

    proptest! {
        #[test]
        fn every_number_comes_back_to_the_bit(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let text = serde_json::to_string(&Number(value)).expect("a string");
            let Number(back) = serde_json::from_str(&text).expect("what was written");
            prop_assert!(back.to_bits() == bits || (back.is_nan() && value.is_nan()));
        }
    }
}
