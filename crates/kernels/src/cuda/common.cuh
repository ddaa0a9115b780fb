// What several kernels share.
#pragma once
#include <cstdint>

// KERNEL(name, (parameters), { body }) defines name_f32 and name_f64; `T` is their type.
#define KERNEL_OF(T_, suffix, name, parameters, ...)              \
    namespace name##_##suffix##_ {                                \
    using T = T_;                                                 \
    extern "C" __global__ void name##_##suffix parameters __VA_ARGS__ \
    }
#define KERNEL(name, parameters, ...)                     \
    KERNEL_OF(float, f32, name, parameters, __VA_ARGS__)  \
    KERNEL_OF(double, f64, name, parameters, __VA_ARGS__)

namespace {

template <typename T> __device__ T exp_of(T x);
template <> __device__ inline float exp_of(float x) { return expf(x); }
template <> __device__ inline double exp_of(double x) { return exp(x); }

template <typename T> __device__ T log_of(T x);
template <> __device__ inline float log_of(float x) { return logf(x); }
template <> __device__ inline double log_of(double x) { return log(x); }

template <typename T> __device__ T minus_infinity() { return -(T)INFINITY; }

// The sum over the lanes of a warp, in every lane, added up in one order.
template <typename T> __device__ T warp_sum(T x) {
    for (int by = 16; by > 0; by /= 2) x += __shfl_xor_sync(0xffffffffu, x, by);
    return x;
}

// The largest over the lanes of a warp, in every lane.
template <typename T> __device__ T warp_max(T x) {
    for (int by = 16; by > 0; by /= 2) {
        T other = __shfl_xor_sync(0xffffffffu, x, by);
        x = other > x ? other : x;
    }
    return x;
}

// What a kernel draws from: a `rng::Key` with its counter's fixed half.
struct Key {
    uint32_t key[2];
    uint32_t counter[2];
};

// The four words at index `block`: Philox4x32-10, as `rng::Key::block`.
__device__ inline uint4 philox(Key key, uint64_t block) {
    uint32_t a = (uint32_t)block, b = (uint32_t)(block >> 32);
    uint32_t c = key.counter[0], d = key.counter[1];
    uint32_t k0 = key.key[0], k1 = key.key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t low = (uint64_t)a * 0xD2511F53u, high = (uint64_t)c * 0xCD9E8D57u;
        uint32_t next_a = (uint32_t)(high >> 32) ^ b ^ k0, next_c = (uint32_t)(low >> 32) ^ d ^ k1;
        b = (uint32_t)high;
        d = (uint32_t)low;
        a = next_a;
        c = next_c;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return make_uint4(a, b, c, d);
}

// The word at index `element`, as `rng::Key::word`.
__device__ inline uint32_t word(Key key, uint64_t element) {
    uint4 words = philox(key, element / 4);
    switch (element % 4) {
        case 0: return words.x;
        case 1: return words.y;
        case 2: return words.z;
        default: return words.w;
    }
}

}  // namespace
