// y = factor x
KERNEL(scale, (const T* x, T* y, uint64_t n, T factor), {
    uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x;
    if (i < n) y[i] = factor * x[i];
})
