// Four neighbouring values at a time, where they lie so that one access reads them.
#pragma once
#include "common.cuh"

namespace {

template <typename T> struct alignas(16) Four {
    T v[4];
};

template <typename T> __device__ bool is_aligned(const T* p) { return (uint64_t)p % 16 == 0; }

// The values at p, of which there are `left`; zeros past the end.
template <typename T> __device__ Four<T> load4(const T* p, uint64_t left) {
    if (left >= 4 && is_aligned(p)) return *(const Four<T>*)p;
    Four<T> four;
    for (int k = 0; k < 4; k++) four.v[k] = k < left ? p[k] : (T)0;
    return four;
}

// Writes the values to p, where there is room for `left`.
template <typename T> __device__ void store4(T* p, Four<T> four, uint64_t left) {
    if (left >= 4 && is_aligned(p)) {
        *(Four<T>*)p = four;
        return;
    }
    for (int k = 0; k < 4; k++)
        if (k < left) p[k] = four.v[k];
}

}  // namespace
