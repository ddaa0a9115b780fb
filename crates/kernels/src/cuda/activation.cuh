// Pointwise non-linearities and their derivatives, as `Activation::with_derivative`.
#pragma once
#include "common.cuh"

namespace {

template <typename T> __device__ T tanh_of(T x);
template <> __device__ inline float tanh_of(float x) { return tanhf(x); }
template <> __device__ inline double tanh_of(double x) { return tanh(x); }

template <typename T> __device__ T erf_of(T x);
template <> __device__ inline float erf_of(float x) { return erff(x); }
template <> __device__ inline double erf_of(double x) { return erf(x); }

// 1 / (1 + e⁻ˣ)
template <typename T> __device__ T sigmoid_of(T x) { return (T)1 / ((T)1 + exp_of<T>(-x)); }

// x σ(u(x)) and its derivative, σ + x σ (1 - σ) u', from σ(u(x)) and u'(x).
template <typename T> __device__ void gated(T x, T sigma, T inner_slope, T* value, T* slope) {
    T y = x * sigma;
    *value = y;
    *slope = sigma + y * (((T)1 - sigma) * inner_slope);
}

// f(x) and f'(x), where `kind` is the number of f: `Activation::number`.
template <typename T> __device__ void activation(uint32_t kind, T x, T* value, T* slope) {
    const T root = (T)0.7978845608028654;     // √(2/π)
    const T cubic = (T)0.044715;
    const T density = (T)0.3989422804014327;  // 1/√(2π)
    const T half_root = (T)0.7071067811865476;
    switch (kind) {
        case 0: {  // GeluTanh: as (1 + tanh u)/2 = σ(2u), it is x times a σ.
            T squared = x * x;
            T argument = (squared * cubic + (T)1) * x * ((T)2 * root);
            T inner_slope = (squared * ((T)3 * cubic) + (T)1) * ((T)2 * root);
            gated<T>(x, sigmoid_of<T>(argument), inner_slope, value, slope);
            break;
        }
        case 1: {  // GeluErf
            T below = (T)0.5 + (T)0.5 * erf_of<T>(x * half_root);
            *value = x * below;
            *slope = below + x * (density * exp_of<T>((T)-0.5 * x * x));
            break;
        }
        case 2:  // Silu
            gated<T>(x, sigmoid_of<T>(x), (T)1, value, slope);
            break;
        case 3:  // Relu
            *value = x > (T)0 ? x : (T)0;
            *slope = x > (T)0 ? (T)1 : (T)0;
            break;
        default: {  // Tanh
            T y = tanh_of<T>(x);
            *value = y;
            *slope = (T)1 - y * y;
        }
    }
}

}  // namespace
