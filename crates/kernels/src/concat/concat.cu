// Rows of `into`, which lie `to` apart, = or += rows of `from`, which lie `apart`; n rows of which
// the first `width` values count.
KERNEL(copy_columns, (const T* from, uint64_t apart, T* into, uint64_t to, uint64_t n,
                      uint64_t width, uint32_t accumulate), {
    uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x;
    if (i >= n * width) return;
    uint64_t row = i / width;
    uint64_t column = i % width;
    T x = from[row * apart + column];
    T* y = into + row * to + column;
    *y = accumulate ? *y + x : x;
})
