// into = from or into += from, times the number that `by` points to if it is not null; zeros if
// `from` is null.
KERNEL(write, (const T* from, const T* by, T* into, uint64_t n, uint32_t accumulate), {
    uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x;
    if (i >= n) return;
    T x = from ? from[i] : (T)0;
    if (by) x *= *by;
    into[i] = accumulate ? into[i] + x : x;
})
