#!/usr/bin/env bash
# cargo with feature `cuda`:
#
#     scripts/cuda/cargo.sh CUDA_HOME COMMAND [ARGUMENT…]
#
# CUDA's libraries are opened when a GPU is asked for, not when the program starts: so what it
# builds runs on machines without them, too, on the CPU. Its files are in target/cuda. A second
# toolkit or another version rebuilds Candle.
set -euo pipefail
CUDA_HOME=$(cd "${1:?where CUDA is}" && pwd)
command=${2:?a command of cargo}
shift 2
cd "$(dirname "$0")/../.."
export CUDA_HOME CUDA_PATH=$CUDA_HOME NVCC=$PWD/scripts/cuda/nvcc.sh
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80} CUDARC_CUDA_VERSION=13000
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/cuda}
# With a target named, build scripts are built without the flag.
export RUSTFLAGS='--cfg feature="dynamic-loading"'
exec cargo "$command" --features cuda --target x86_64-unknown-linux-gnu "$@"
