#!/usr/bin/env bash
# CUDA's compiler without NVIDIA's installer: lays a toolkit out in FOLDER from Python wheels
# (271 MB), enough to build with feature `cuda` on a machine that has neither GPU nor driver.
#
#     scripts/cuda/toolkit.sh FOLDER
#
# Libraries that only running needs (libcuda, cuBLAS, …) are stood in for by empty ones with the
# right names, made of the functions that the crate cudarc knows.
set -euo pipefail
folder=$(mkdir -p "${1:?a folder to lay the toolkit out in}" && cd "$1" && pwd)
cd "$(dirname "$0")/../.."

# The driver of version 580 refuses PTX by compilers later than 13.0.
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-deps \
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
wheels=$(echo "$folder"/venv/lib/python3.*/site-packages/nvidia/cu13)

home=$folder/home
mkdir -p "$home/lib64/stubs"
for part in bin nvvm include; do ln -sfn "$wheels/$part" "$home/$part"; done
ln -sfn lib64 "$home/lib"
for library in "$wheels"/lib/*; do ln -sfn "$library" "$home/lib64/$(basename "$library")"; done
ln -sfn "$wheels/lib/libcudart.so.13" "$home/lib64/libcudart.so"

cargo fetch --quiet
cudarc=$(echo "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/cudarc-0.19.10)
# An empty library FILE for the bindings in cudarc's module MODULE, also called LINK.
stub() {
    local module=$1 file=$2 link=$3
    grep -ohE '^ +fn [A-Za-z_0-9]+ *\(' "$cudarc/src/$module/sys/mod.rs" |
        sed -E 's/.*fn ([A-Za-z_0-9]+).*/int \1(void) { return 34; }/' | sort -u |
        cc -shared -fPIC -nostdlib -Wl,-soname,"$file" -o "$home/lib64/stubs/$file" -x c -
    ln -sfn "$file" "$home/lib64/stubs/$link"
}
stub driver libcuda.so.1 libcuda.so
stub cublas libcublas.so.13 libcublas.so
stub cublaslt libcublasLt.so.13 libcublasLt.so
stub curand libcurand.so.10 libcurand.so
stub nvrtc libnvrtc.so.13 libnvrtc.so
echo "a toolkit is in $home: scripts/cuda/cargo.sh $home build --release"
