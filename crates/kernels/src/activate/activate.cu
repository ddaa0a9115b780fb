// Pointwise non-linearities; a thread takes four elements.
#include "../cuda/activation.cuh"
#include "../cuda/four.cuh"

// y = f(x)
KERNEL(activate, (const T* x, T* y, uint64_t n, uint32_t kind), {
    uint64_t i = 4 * (blockIdx.x * (uint64_t)blockDim.x + threadIdx.x);
    if (i >= n) return;
    Four<T> four = load4(x + i, n - i);
    for (int k = 0; k < 4; k++) {
        T slope;
        activation<T>(kind, four.v[k], &four.v[k], &slope);
    }
    store4(y + i, four, n - i);
})

// dx = dy * f'(x)
KERNEL(activate_backward, (const T* x, const T* dy, T* dx, uint64_t n, uint32_t kind), {
    uint64_t i = 4 * (blockIdx.x * (uint64_t)blockDim.x + threadIdx.x);
    if (i >= n) return;
    Four<T> four = load4(x + i, n - i);
    Four<T> grad = load4(dy + i, n - i);
    for (int k = 0; k < 4; k++) {
        T value;
        T slope;
        activation<T>(kind, four.v[k], &value, &slope);
        grad.v[k] *= slope;
    }
    store4(dx + i, grad, n - i);
})

// y = silu(gate) * up
KERNEL(swiglu, (const T* gate, const T* up, T* y, uint64_t n), {
    uint64_t i = 4 * (blockIdx.x * (uint64_t)blockDim.x + threadIdx.x);
    if (i >= n) return;
    Four<T> gates = load4(gate + i, n - i);
    Four<T> ups = load4(up + i, n - i);
    for (int k = 0; k < 4; k++) ups.v[k] *= gates.v[k] * sigmoid_of<T>(gates.v[k]);
    store4(y + i, ups, n - i);
})

// dgate = dy * up * silu'(gate), dup = dy * silu(gate); either may be null.
KERNEL(swiglu_backward, (const T* gate, const T* up, const T* dy, T* dgate, T* dup, uint64_t n), {
    uint64_t i = 4 * (blockIdx.x * (uint64_t)blockDim.x + threadIdx.x);
    if (i >= n) return;
    Four<T> gates = load4(gate + i, n - i);
    Four<T> ups = load4(up + i, n - i);
    Four<T> grad = load4(dy + i, n - i);
    for (int k = 0; k < 4; k++) {
        T value;
        T slope;
        gated<T>(gates.v[k], sigmoid_of<T>(gates.v[k]), (T)1, &value, &slope);
        gates.v[k] = grad.v[k] * ups.v[k] * slope;
        ups.v[k] = grad.v[k] * value;
    }
    if (dgate) store4(dgate + i, gates, n - i);
    if (dup) store4(dup + i, ups, n - i);
})
