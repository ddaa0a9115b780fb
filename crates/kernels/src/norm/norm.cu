// Layer and RMS norm of rows of s = x + residual. With mean m and scale r = 1 / sqrt(var + eps),
// the normalised row is z = (s - m) r; RMS norm has m = 0. One warp a row.

namespace {

// a b, rounded: never part of a fused operation, so that equal products cancel to zero.
__device__ inline float rounded_product(float a, float b) { return __fmul_rn(a, b); }
__device__ inline double rounded_product(double a, double b) { return __dmul_rn(a, b); }

__device__ inline float root(float x) { return sqrtf(x); }
__device__ inline double root(double x) { return sqrt(x); }

// Element i of s; `residual` may be null.
template <typename T> __device__ T norm_input(const T* x, const T* residual, uint64_t i) {
    return residual ? x[i] + residual[i] : x[i];
}

}  // namespace

// y = gamma z + beta, and each row's m and r. The variance is taken about the mean, so that a
// large mean costs no digits. `residual` and `beta` may be null.
KERNEL(norm, (const T* __restrict__ x, const T* __restrict__ residual, const T* __restrict__ gamma,
              const T* __restrict__ beta, T* __restrict__ y, T* means, T* scales, uint64_t n,
              uint64_t d, uint32_t subtract_mean, T per_element, T eps), {
    uint64_t row = blockIdx.x * (uint64_t)blockDim.y + threadIdx.y;
    uint32_t lane = threadIdx.x;
    if (row >= n) return;
    x += row * d;
    if (residual) residual += row * d;
    y += row * d;
    T mean = 0;
    if (subtract_mean) {
        T sum = 0;
        for (uint64_t i = lane; i < d; i += 32) sum += norm_input(x, residual, i);
        mean = warp_sum(sum) * per_element;
    }
    T squares = 0;
    for (uint64_t i = lane; i < d; i += 32) {
        T s = norm_input(x, residual, i) - mean;
        squares += s * s;
    }
    T scale = (T)1 / root(warp_sum(squares) * per_element + eps);
    if (lane == 0) {
        means[row] = mean;
        scales[row] = scale;
    }
    for (uint64_t i = lane; i < d; i += 32) {
        T z = (norm_input(x, residual, i) - mean) * scale;
        y[i] = beta ? z * gamma[i] + beta[i] : z * gamma[i];
    }
})

// Over dy comes ds = r (g - mean(g) - z mean(g z)) with g = gamma dy, without mean(g) for RMS
// norm: a lane writes what only it reads, after all lanes' sums.
KERNEL(norm_backward, (const T* __restrict__ x, const T* __restrict__ residual,
                       const T* __restrict__ gamma, const T* means, const T* scales, T* dy,
                       uint64_t n, uint64_t d, uint32_t subtract_mean, T per_element), {
    uint64_t row = blockIdx.x * (uint64_t)blockDim.y + threadIdx.y;
    uint32_t lane = threadIdx.x;
    if (row >= n) return;
    x += row * d;
    if (residual) residual += row * d;
    dy += row * d;
    T mean = means[row];
    T scale = scales[row];
    T sum = 0;
    T along = 0;
    for (uint64_t i = lane; i < d; i += 32) {
        T z = (norm_input(x, residual, i) - mean) * scale;
        T g = rounded_product(dy[i], gamma[i]);
        sum += g;
        along += g * z;
    }
    along = warp_sum(along) * per_element;
    T mean_of_g = subtract_mean ? warp_sum(sum) * per_element : (T)0;
    for (uint64_t i = lane; i < d; i += 32) {
        T z = (norm_input(x, residual, i) - mean) * scale;
        T g = rounded_product(dy[i], gamma[i]) - mean_of_g;
        dy[i] = scale * (g - z * along);
    }
})

// Sums over the rows of a chunk: dgamma[chunk, c] of dy z, and dbeta[chunk, c] of dy; either may
// be null. A block takes 32 columns of `rows` rows, as in column_sums.
KERNEL(norm_columns, (const T* x, const T* residual, const T* means, const T* scales, const T* dy,
                      T* dgamma, T* dbeta, uint64_t n, uint64_t d, uint64_t rows), {
    __shared__ T sums[2][8][32];
    uint64_t column = blockIdx.x * (uint64_t)32 + threadIdx.x;
    uint64_t first = blockIdx.y * rows;
    uint64_t end = first + rows < n ? first + rows : n;
    T along = 0;
    T sum = 0;
    if (column < d)
        for (uint64_t row = first + threadIdx.y; row < end; row += 8) {
            uint64_t i = row * d + column;
            T grad = dy[i];
            sum += grad;
            if (dgamma) along += grad * ((norm_input(x, residual, i) - means[row]) * scales[row]);
        }
    sums[0][threadIdx.y][threadIdx.x] = along;
    sums[1][threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= d) return;
    for (int k = 1; k < 8; k++) {
        along += sums[0][k][threadIdx.x];
        sum += sums[1][k][threadIdx.x];
    }
    uint64_t to = blockIdx.y * d + column;
    if (dgamma) dgamma[to] = along;
    if (dbeta) dbeta[to] = sum;
})
