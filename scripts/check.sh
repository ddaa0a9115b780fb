#!/usr/bin/env bash
# Everything that must hold before a change lands, cheapest first. Needs Rust, a C
# compiler and, once, the package registry. The last line says how many tests
# passed and failed.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
tally() {
    awk '/^test result: / { passed += $4; failed += $6; seen = 1 }
         END { if (seen) print passed " passed, " failed " failed" }' "$log"
    rm -f "$log"
}
trap tally EXIT

stage() {
    local name=$1 start=$SECONDS
    shift
    echo "==> $name"
    "$@"
    echo "<== $name: $((SECONDS - start)) s"
}

run_tests() {
    cargo test --workspace 2>&1 | tee "$log"
}

build_docs() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
}

check_dependencies() {
    if command -v cargo-deny > /dev/null; then
        cargo deny check licenses bans sources
    else
        echo "cargo-deny is not installed: licences, bans and sources are not checked"
    fi
}

stage format cargo fmt --all --check
# The calls that `clippy.toml` bans are planted in `crates/testkit/tests/bans.rs`:
# this stage fails where the lint does not see one of them.
stage lint cargo clippy --workspace --all-targets -- -D warnings
stage dependencies check_dependencies
stage tests run_tests
stage documentation build_docs
