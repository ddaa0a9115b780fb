// into[chunk, c] = or += the sum over rows chunk · rows .. (chunk + 1) · rows of x[row, c], for
// x of n rows that lie `stride` apart. A block takes 32 columns of a chunk: thread (c, k) adds
// up rows k, k + 8, k + 16, …, and the sums of the eight are added in their order.
KERNEL(column_sums, (const T* x, uint64_t stride, uint64_t n, uint64_t width, uint64_t rows, T* into,
                     uint32_t accumulate), {
    __shared__ T sums[8][32];
    uint64_t column = blockIdx.x * (uint64_t)32 + threadIdx.x;
    uint64_t first = blockIdx.y * rows;
    uint64_t end = first + rows < n ? first + rows : n;
    T sum = 0;
    if (column < width)
        for (uint64_t row = first + threadIdx.y; row < end; row += 8) sum += x[row * stride + column];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= width) return;
    for (int k = 1; k < 8; k++) sum += sums[k][threadIdx.x];
    T* to = into + blockIdx.y * width + column;
    *to = accumulate ? *to + sum : sum;
})
