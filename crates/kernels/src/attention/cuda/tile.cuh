// One tile of attention: rows of one kind against an inner number of rows of the other.
//
// A block of 16 x GROUPS threads holds ROWS rows (queries, or keys in the backward pass by
// keys) and walks over the others, INNER at a time. Thread (x, y) has the rows y, y + GROUPS, ...
// and of a tile the columns x, x + 16, ...; of a head's channels it has W neighbours at a time.
#pragma once
#include "../../cuda/four.cuh"

namespace attention {

constexpr int LANES = 16;

template <typename T, int D_, int ROWS_, int INNER_, int GROUPS_, int BLOCKS_> struct Tiles {
    static constexpr int D = D_, ROWS = ROWS_, INNER = INNER_, GROUPS = GROUPS_;
    // Blocks that a multiprocessor is to have registers for.
    static constexpr int BLOCKS = BLOCKS_;
    static constexpr int THREADS = LANES * GROUPS;
    // Rows and columns of a thread.
    static constexpr int R = ROWS / GROUPS, C = INNER / LANES;
    // Neighbouring channels, and how many there are of a thread.
    static constexpr int W = D >= 64 ? 4 : 2, CHANNELS = D / LANES;
    // From one row to the next in shared memory, so that rows start at different banks.
    static constexpr int PAD = 16 / sizeof(T), STRIDE = D + PAD, TILE_STRIDE = INNER + PAD;
};

// Which kernels there are: of each width of heads, how blocks of the two passes are cut. The same
// table is in `shape.rs`.
template <typename T, int D> struct Shape;
template <> struct Shape<float, 32> {
    using Forward = Tiles<float, 32, 64, 64, 8, 3>;
    using Backward = Tiles<float, 32, 64, 64, 16, 2>;
};
template <> struct Shape<float, 64> {
    using Forward = Tiles<float, 64, 64, 64, 8, 3>;
    using Backward = Tiles<float, 64, 64, 64, 16, 2>;
};
template <> struct Shape<float, 128> {
    using Forward = Tiles<float, 128, 64, 64, 16, 2>;
    using Backward = Tiles<float, 128, 64, 32, 16, 2>;
};
template <> struct Shape<float, 256> {
    using Forward = Tiles<float, 256, 32, 32, 16, 2>;
    using Backward = Tiles<float, 256, 32, 32, 16, 1>;
};
template <int D_> struct Shape<double, D_> {
    using Forward = Tiles<double, D_, 32, 32, 16, 1>;
    using Backward = Tiles<double, D_, 32, D_ == 256 ? 16 : 32, 16, 1>;
};

// Everything but results and gradients.
template <typename T> struct Call {
    // Rows that lie `stride` values apart.
    const T *q, *k, *v;
    uint64_t q_stride, k_stride, v_stride;
    // The keys that each query reads.
    const uint32_t *start, *end;
    // What the blocks do: five numbers each.
    const uint32_t* tasks;
    uint64_t n_tasks;
    uint32_t n_queries, n_heads, n_kv_heads, head_dim;
    T scale;
    // Bias by distance: [n_heads, n_buckets], or null.
    const T* table;
    int64_t n_buckets, offset;
    const uint32_t *query_positions, *key_positions;
    // Dropout: how many words each query of each head has, or zero.
    uint64_t words;
    Key key;
    uint32_t threshold;
    T factor;
};

// ROWS rows of one segment, first .. end, and of the other kind the rows that they meet,
// low .. high; `base` is the first key of the segment.
struct Task {
    uint32_t first, end, low, high, base;
};

__device__ inline Task task_at(const uint32_t* tasks, uint64_t i) {
    const uint32_t* at = tasks + 5 * i;
    return {at[0], at[1], at[2], at[3], at[4]};
}

__device__ inline int thread() { return threadIdx.y * LANES + threadIdx.x; }

// Shared memory, handed out piece by piece; pieces are multiples of 16 bytes.
struct Arena {
    unsigned char* at;

    template <typename E> __device__ E* take(int n) {
        E* piece = (E*)at;
        at += n * sizeof(E);
        return piece;
    }
};

__device__ inline Arena arena() {
    extern __shared__ uint4 attention_memory[];
    return {(unsigned char*)attention_memory};
}

// Sum or largest over the threads of a row, which are half a warp, in each of them.
template <typename T> __device__ T row_sum(T x) {
    for (int by = LANES / 2; by > 0; by /= 2) x += __shfl_xor_sync(0xffffffffu, x, by);
    return x;
}

template <typename T> __device__ T row_max(T x) {
    for (int by = LANES / 2; by > 0; by /= 2) {
        T other = __shfl_xor_sync(0xffffffffu, x, by);
        x = other > x ? other : x;
    }
    return x;
}

// Rows first .. first + n of `from`, their columns column .. column + width, times `factor`, as
// rows of shared memory. Rows up to N and columns up to a multiple of four are filled with zeros.
template <typename S, int N, typename T>
__device__ void load_rows(T* to, const T* from, uint64_t stride, uint64_t first, int n,
                          uint64_t column, int width, T factor) {
    constexpr int FOURS = S::D / 4, STEPS = N * FOURS / S::THREADS;
    constexpr int BATCH = STEPS < 4 ? STEPS : 4;
    static_assert(N * FOURS % S::THREADS == 0 && STEPS % BATCH == 0, "each thread loads as much");
    from += first * stride + column;
    bool aligned = is_aligned(from) && stride * sizeof(T) % 16 == 0 && width % 4 == 0;
    for (int step = 0; step < STEPS; step += BATCH) {
        Four<T> batch[BATCH];
#pragma unroll
        for (int b = 0; b < BATCH; b++) {
            int at = thread() + (step + b) * S::THREADS, row = at / FOURS, e = 4 * (at % FOURS);
            batch[b] = {{0, 0, 0, 0}};
            if (row >= n || e >= width) continue;
            const T* p = from + row * stride + e;
            if (aligned) {
                batch[b] = *(const Four<T>*)p;
            } else {
#pragma unroll
                for (int k = 0; k < 4; k++)
                    if (e + k < width) batch[b].v[k] = p[k];
            }
        }
#pragma unroll
        for (int b = 0; b < BATCH; b++) {
            int at = thread() + (step + b) * S::THREADS, row = at / FOURS, e = 4 * (at % FOURS);
#pragma unroll
            for (int k = 0; k < 4; k++) batch[b].v[k] *= factor;
            *(Four<T>*)(to + row * S::STRIDE + e) = batch[b];
        }
    }
}

// sum[r][c] = a[row r] . b[column c], of the first COLUMNS columns of a thread; zero for others.
template <typename S, int COLUMNS, typename T>
__device__ void products_of(T (&sum)[S::R][S::C], const T* a, const T* b, int width) {
#pragma unroll
    for (int r = 0; r < S::R; r++)
#pragma unroll
        for (int c = 0; c < S::C; c++) sum[r][c] = 0;
    a += threadIdx.y * S::STRIDE;
    b += threadIdx.x * S::STRIDE;
#pragma unroll 2
    for (int e = 0; e < width; e += 4) {
        Four<T> x[S::R], y[COLUMNS];
#pragma unroll
        for (int r = 0; r < S::R; r++) x[r] = *(const Four<T>*)(a + r * S::GROUPS * S::STRIDE + e);
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) y[c] = *(const Four<T>*)(b + c * LANES * S::STRIDE + e);
#pragma unroll
        for (int k = 0; k < 4; k++)
#pragma unroll
            for (int r = 0; r < S::R; r++)
#pragma unroll
                for (int c = 0; c < COLUMNS; c++) sum[r][c] += x[r].v[k] * y[c].v[k];
    }
}

// As above for n columns of the tile.
template <typename S, typename T>
__device__ void products(T (&sum)[S::R][S::C], const T* a, const T* b, int width, int n) {
    if (n <= LANES)
        products_of<S, 1>(sum, a, b, width);
    else
        products_of<S, S::C>(sum, a, b, width);
}

template <typename T, int W> struct alignas(W * sizeof(T) < 16 ? W * sizeof(T) : 16) Few {
    T v[W];
};

// sum[r] += Σ weights[row r][k] x[k], over the first n rows of x; those up to a multiple of
// four are zero, and so are their weights.
template <typename S, typename T>
__device__ void add_products(T (&sum)[S::R][S::CHANNELS], const T* weights, const T* x, int n) {
    using Channels = Few<T, S::W>;
    weights += threadIdx.y * S::TILE_STRIDE;
    x += threadIdx.x * S::W;
    for (int j = 0; j < n; j += 4) {
        Four<T> w[S::R];
#pragma unroll
        for (int r = 0; r < S::R; r++)
            w[r] = *(const Four<T>*)(weights + r * S::GROUPS * S::TILE_STRIDE + j);
#pragma unroll
        for (int k = 0; k < 4; k++)
#pragma unroll
            for (int g = 0; g < S::CHANNELS / S::W; g++) {
                Channels y = *(const Channels*)(x + (j + k) * S::STRIDE + g * LANES * S::W);
#pragma unroll
                for (int r = 0; r < S::R; r++)
#pragma unroll
                    for (int i = 0; i < S::W; i++) sum[r][g * S::W + i] += w[r].v[k] * y.v[i];
            }
    }
}

// Rows first + row, columns column .., of `to` = factor * sum, for the n rows of the block.
template <typename S, typename T>
__device__ void store_rows(T* to, uint64_t stride, uint64_t first, int n, uint64_t column,
                           int width, T (&sum)[S::R][S::CHANNELS], const T (&factor)[S::R]) {
#pragma unroll
    for (int r = 0; r < S::R; r++) {
        int row = threadIdx.y + r * S::GROUPS;
        if (row >= n) continue;
        T* at = to + (first + row) * stride + column;
#pragma unroll
        for (int i = 0; i < S::CHANNELS; i++) {
            int e = (i / S::W * LANES + threadIdx.x) * S::W + i % S::W;
            if (e < width) at[e] = factor[r] * sum[r][i];
        }
    }
}

// A tile of weights for `add_products`.
template <typename S, typename T> __device__ void store_tile(T* to, const T (&tile)[S::R][S::C]) {
#pragma unroll
    for (int r = 0; r < S::R; r++)
#pragma unroll
        for (int c = 0; c < S::C; c++)
            to[(threadIdx.y + r * S::GROUPS) * S::TILE_STRIDE + threadIdx.x + c * LANES] =
                tile[r][c];
}

// n of the numbers of `from`, then zeros up to N.
template <typename S, int N> __device__ void load_numbers(uint32_t* to, const uint32_t* from, int n) {
    for (int i = thread(); i < N; i += S::THREADS) to[i] = i < n ? from[i] : 0;
}

// The bucket of a query and a key.
template <typename T>
__device__ int64_t bucket(const Call<T>& call, uint32_t query_position, uint32_t key_position) {
    int64_t bucket = (int64_t)query_position - (int64_t)key_position + call.offset;
    return bucket < 0 ? 0 : bucket < call.n_buckets ? bucket : call.n_buckets - 1;
}

// Draws which weights of QUERIES queries and KEYS keys are kept: bits 0 to 3 of
// keep[(i * KEYS + j) / 4] are those of four keys. `key` counts from the segment's first.
template <typename S, int QUERIES, int KEYS, typename T>
__device__ void draw(uint8_t* keep, const Call<T>& call, uint32_t head, uint32_t query, int n,
                     uint32_t key) {
    constexpr int FOURS = KEYS / 4;
    for (int at = thread(); at < QUERIES * FOURS; at += S::THREADS) {
        int i = at / FOURS;
        if (i >= n) break;
        uint64_t row = (uint64_t)head * call.n_queries + query + i;
        uint4 words = philox(call.key, (row * call.words + key) / 4 + at % FOURS);
        keep[at] = (words.x >= call.threshold) | (words.y >= call.threshold) << 1 |
                   (words.z >= call.threshold) << 2 | (words.w >= call.threshold) << 3;
    }
}

// What the weight of query i and key j is multiplied by.
template <int KEYS, typename T>
__device__ T kept(const uint8_t* keep, const Call<T>& call, int i, int j) {
    return keep[(i * KEYS + j) / 4] >> j % 4 & 1 ? call.factor : (T)0;
}

}  // namespace attention
