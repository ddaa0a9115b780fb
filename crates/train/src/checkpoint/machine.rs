//! The kind of machine, as far as it decides how floating-point sums are rounded.

/// Architecture and vector instructions, such as `x86_64+avx2+fma+avx512f`.
///
/// A run that goes on elsewhere is sound, but may differ in the last bits.
pub(super) fn describe() -> String {
    let mut text = std::env::consts::ARCH.to_owned();
    for (name, present) in features() {
        if present {
            text.push('+');
            text.push_str(name);
        }
    }
    text
}

#[cfg(target_arch = "x86_64")]
fn features() -> [(&'static str, bool); 3] {
    [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> [(&'static str, bool); 0] {
    []
}
