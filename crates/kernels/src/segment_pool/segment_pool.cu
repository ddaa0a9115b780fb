// One row for each segment of packed rows; segment s is rows walls[s] .. walls[s + 1].

namespace {

// As `segment_pool::cuda::number`.
enum Pool : uint32_t { POOL_MEAN = 0, POOL_SUM = 1, POOL_FIRST = 2, POOL_LAST = 3 };

}  // namespace

// y[s, c] = the mean or sum of x[row, c] over the rows of segment s, or x of its first or last
// row; zero if there is none. A block takes 32 columns of a segment: thread (c, k) adds up rows
// k, k + 8, k + 16, …, and the sums of the eight are added in their order.
KERNEL(segment_pool, (const T* x, const uint32_t* walls, T* y, uint64_t d, uint32_t pool), {
    __shared__ T sums[8][32];
    uint64_t column = blockIdx.y * (uint64_t)32 + threadIdx.x;
    uint64_t first = walls[blockIdx.x];
    uint64_t end = walls[blockIdx.x + 1];
    T rows = (T)(end - first);
    if (pool == POOL_FIRST && end > first) end = first + 1;
    if (pool == POOL_LAST && end > first) first = end - 1;
    T sum = 0;
    if (column < d)
        for (uint64_t row = first + threadIdx.y; row < end; row += 8) sum += x[row * d + column];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= d) return;
    for (int k = 1; k < 8; k++) sum += sums[k][threadIdx.x];
    y[blockIdx.x * d + column] = pool == POOL_MEAN && end > first ? sum / rows : sum;
})

// dx of each row: what its segment's row of dy gives to it; one warp a row.
KERNEL(segment_pool_backward, (const T* dy, const uint32_t* walls, T* dx, uint64_t n,
                               uint64_t segments, uint64_t d, uint32_t pool), {
    uint64_t row = blockIdx.x * (uint64_t)blockDim.y + threadIdx.y;
    if (row >= n) return;
    // The last segment that starts at or before the row: those before it that start there, too,
    // are empty. walls[low] <= row < walls[high].
    uint64_t low = 0;
    uint64_t high = segments;
    while (high - low > 1) {
        uint64_t middle = (low + high) / 2;
        if (walls[middle] <= row) low = middle;
        else high = middle;
    }
    uint64_t first = walls[low];
    uint64_t end = walls[low + 1];
    T share = 1;
    if (pool == POOL_MEAN) share = (T)1 / (T)(end - first);
    if (pool == POOL_FIRST) share = row == first ? (T)1 : (T)0;
    if (pool == POOL_LAST) share = row == end - 1 ? (T)1 : (T)0;
    dy += low * d;
    dx += row * d;
    for (uint64_t i = threadIdx.x; i < d; i += 32) dx[i] = share != 0 ? dy[i] * share : (T)0;
})
