// What follows the products of a linear map, and what precedes them on the way back.
#include "../cuda/activation.cuh"

// y = f(y + bias) + residual, and slopes = f'(y + bias); bias, residual, slopes may be null.
KERNEL(linear_finish, (T* y, const T* bias, const T* residual, T* slopes, uint32_t activated,
                       uint32_t kind, uint64_t n, uint64_t columns), {
    uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x;
    if (i >= n) return;
    T x = y[i];
    if (bias) x += bias[i % columns];
    if (activated) {
        T value, slope;
        activation<T>(kind, x, &value, &slope);
        x = value;
        if (slopes) slopes[i] = slope;
    }
    y[i] = residual ? x + residual[i] : x;
})

// into = a * b; into may be a.
KERNEL(multiply, (const T* a, const T* b, T* into, uint64_t n), {
    uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x;
    if (i < n) into[i] = a[i] * b[i];
})
