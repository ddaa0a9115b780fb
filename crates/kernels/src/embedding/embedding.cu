// Rows of a table by their index, and sums of the rows of its gradient.

// Row i of y is row ids[i] of the table; one warp a row.
KERNEL(embedding, (const uint32_t* ids, const T* table, T* y, uint64_t n, uint64_t d), {
    uint64_t row = blockIdx.x * (uint64_t)blockDim.y + threadIdx.y;
    if (row >= n) return;
    table += ids[row] * d;
    y += row * d;
    for (uint64_t i = threadIdx.x; i < d; i += 32) y[i] = table[i];
})

// Row rows[b] of into = or += the sum of the rows of `from` that places[starts[b] .. starts[b + 1]]
// lists, in that order, for block b; a thread takes every blockDim.x-th column.
KERNEL(sum_listed_rows, (const T* __restrict__ from, const uint32_t* rows, const uint32_t* starts,
                         const uint32_t* places, T* __restrict__ into, uint64_t d,
                         uint32_t accumulate), {
    uint32_t first = starts[blockIdx.x];
    uint32_t end = starts[blockIdx.x + 1];
    into += rows[blockIdx.x] * d;
    for (uint64_t i = threadIdx.x; i < d; i += blockDim.x) {
        T sum = 0;
        for (uint32_t place = first; place < end; place++) sum += from[places[place] * d + i];
        into[i] = accumulate ? into[i] + sum : sum;
    }
})
