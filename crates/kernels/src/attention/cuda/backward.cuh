// The backward pass: once by queries, once by keys; both compute the weights again.
//
// With weights p = e^(s - log_sum) and results y = p v: dv = pᵀ dy, dp = dy vᵀ,
// ds = p (dp - delta) where delta = Σ dy y, dq = scale ds k, dk = scale dsᵀ q.
#pragma once
#include "tile.cuh"

namespace attention {

// What the backward pass starts from, beside the operands.
template <typename T> struct Known {
    // [n_queries, n_heads * head_dim]: results, and gradients with respect to them.
    const T *y, *dy;
    // [n_heads, n_queries]
    const T* log_sum;
    // The same: Σ dy y, made by the pass over queries and read by that over keys.
    T* delta;
};

// grad[bucket] += Σ ds over the pairs of the bucket, in a tile of n queries and n_keys keys. A
// sum over equal buckets is made by one thread, in order.
template <typename S, typename T>
__device__ void add_to_buckets(T* grad, const Call<T>& call, const T* ds, int n, int n_keys,
                               const uint32_t* query_positions, const uint32_t* key_positions,
                               T* diagonals) {
    bool rising = true;
    for (int i = thread() + 1; i < n; i += S::THREADS)
        rising &= query_positions[i] == query_positions[i - 1] + 1;
    for (int j = thread() + 1; j < n_keys; j += S::THREADS)
        rising &= key_positions[j] == key_positions[j - 1] + 1;
    if (__syncthreads_and(rising)) {
        // Positions that rise by one: a diagonal has one bucket, and equal ones are neighbours.
        int n_diagonals = n + n_keys - 1;
        auto at = [&](int t) {
            int i = max(0, t - (n_keys - 1)), j = n_keys - 1 - t + i;
            return bucket(call, query_positions[i], key_positions[j]);
        };
        for (int t = thread(); t < n_diagonals; t += S::THREADS) {
            int past = t - (n_keys - 1);
            T sum = 0;
            for (int i = max(0, past); i < min(n, past + n_keys); i++)
                sum += ds[i * S::TILE_STRIDE + i - past];
            diagonals[t] = sum;
        }
        __syncthreads();
        for (int t = thread(); t < n_diagonals; t += S::THREADS) {
            int64_t own = at(t);
            if (t > 0 && at(t - 1) == own) continue;
            T sum = diagonals[t];
            for (int other = t + 1; other < n_diagonals && at(other) == own; other++)
                sum += diagonals[other];
            grad[own] += sum;
        }
        return;
    }
    for (int i = 0; i < n; i++) {
        int j = thread();
        if (j < n_keys) {
            int64_t own = bucket(call, query_positions[i], key_positions[j]);
            bool first = true;
            for (int other = 0; other < j; other++)
                first &= bucket(call, query_positions[i], key_positions[other]) != own;
            if (first) {
                T sum = 0;
                for (int other = j; other < n_keys; other++)
                    if (bucket(call, query_positions[i], key_positions[other]) == own)
                        sum += ds[i * S::TILE_STRIDE + other];
                grad[own] += sum;
            }
        }
        __syncthreads();
    }
}

// Gradients of the queries, where dq is not null, and of the table, where `tables` is not null:
// blocks that share the queries of a head share them out, and each has a table of its own,
// [n_blocks / n_heads, n_heads, n_buckets].
template <typename S, typename T>
__device__ void backward_by_queries(const Call<T>& call, const Known<T>& known, T* dq,
                                    uint64_t dq_stride, T* tables) {
    Arena memory = arena();
    T* q = memory.take<T>(S::ROWS * S::STRIDE);
    T* dy = memory.take<T>(S::ROWS * S::STRIDE);
    T* k = memory.take<T>(S::INNER * S::STRIDE);
    T* v = memory.take<T>(S::INNER * S::STRIDE);
    T* tile = memory.take<T>(S::ROWS * S::TILE_STRIDE);
    T* diagonals = memory.take<T>(S::ROWS + S::INNER);
    uint32_t* start = memory.take<uint32_t>(S::ROWS);
    uint32_t* end = memory.take<uint32_t>(S::ROWS);
    uint32_t* query_positions = memory.take<uint32_t>(S::ROWS);
    uint32_t* key_positions = memory.take<uint32_t>(S::INNER);
    uint8_t* keep = memory.take<uint8_t>(S::ROWS * S::INNER / 4);

    uint32_t head = blockIdx.x % call.n_heads;
    int width = call.head_dim;
    uint64_t column = (uint64_t)head * width, all_columns = (uint64_t)call.n_heads * width;
    uint64_t kv_column = (uint64_t)(head / (call.n_heads / call.n_kv_heads)) * width;
    const T* table = call.table ? call.table + head * call.n_buckets : nullptr;
    if (tables) tables += (uint64_t)blockIdx.x * call.n_buckets;
    for (uint64_t number = blockIdx.x / call.n_heads; number < call.n_tasks;
         number += gridDim.x / call.n_heads) {
        Task task = task_at(call.tasks, number);
        int n = task.end - task.first;
        __syncthreads();
        load_rows<S, S::ROWS>(q, call.q, call.q_stride, task.first, n, column, width, call.scale);
        load_rows<S, S::ROWS>(dy, known.dy, all_columns, task.first, n, column, width, (T)1);
        load_numbers<S, S::ROWS>(start, call.start + task.first, n);
        load_numbers<S, S::ROWS>(end, call.end + task.first, n);
        if (table) load_numbers<S, S::ROWS>(query_positions, call.query_positions + task.first, n);
        __syncthreads();

        T log_sum[S::R], delta[S::R], sum[S::R][S::CHANNELS];
#pragma unroll
        for (int r = 0; r < S::R; r++) {
            int row = threadIdx.y + r * S::GROUPS;
            uint64_t query = (uint64_t)task.first + row;
            T product = 0;
            if (row < n)
                for (int e = threadIdx.x; e < width; e += LANES)
                    product += dy[row * S::STRIDE + e] * known.y[query * all_columns + column + e];
            delta[r] = row_sum(product);
            uint64_t at = (uint64_t)head * call.n_queries + query;
            log_sum[r] = row < n ? known.log_sum[at] : (T)INFINITY;
            if (row < n && threadIdx.x == 0) known.delta[at] = delta[r];
#pragma unroll
            for (int i = 0; i < S::CHANNELS; i++) sum[r][i] = 0;
        }
        uint32_t all_from = call.start[task.end - 1], all_to = call.end[task.first];
        uint32_t low = task.base + (task.low - task.base) / S::INNER * S::INNER;
        for (uint32_t j0 = low; j0 < task.high; j0 += S::INNER) {
            int n_keys = min((uint32_t)S::INNER, task.high - j0);
            __syncthreads();
            load_rows<S, S::INNER>(k, call.k, call.k_stride, j0, n_keys, kv_column, width, (T)1);
            load_rows<S, S::INNER>(v, call.v, call.v_stride, j0, n_keys, kv_column, width, (T)1);
            if (table) load_numbers<S, S::INNER>(key_positions, call.key_positions + j0, n_keys);
            if (call.words)
                draw<S, S::ROWS, S::INNER>(keep, call, head, task.first, n, j0 - task.base);
            __syncthreads();

            T score[S::R][S::C], grad[S::R][S::C];
            products<S>(score, q, k, width, n_keys);
            products<S>(grad, dy, v, width, n_keys);
            bool whole = all_from <= j0 && j0 + S::INNER <= all_to;
#pragma unroll
            for (int r = 0; r < S::R; r++) {
                int row = threadIdx.y + r * S::GROUPS;
                uint32_t from = start[row], to = end[row];
#pragma unroll
                for (int c = 0; c < S::C; c++) {
                    int key = threadIdx.x + c * LANES;
                    uint32_t j = j0 + key;
                    T s = score[r][c];
                    if (table) s += table[bucket(call, query_positions[row], key_positions[key])];
                    if (!whole && (j < from || j >= to)) s = minus_infinity<T>();
                    T weight = exp_of(s - log_sum[r]), dp = grad[r][c];
                    if (call.words) dp *= kept<S::INNER>(keep, call, row, key);
                    grad[r][c] = weight * (dp - delta[r]);
                }
            }
            store_tile<S>(tile, grad);
            __syncwarp();
            if (tables)
                add_to_buckets<S>(tables, call, tile, n, n_keys, query_positions, key_positions,
                                  diagonals);
            if (dq) add_products<S>(sum, tile, k, n_keys);
        }
        if (dq) {
            T factor[S::R];
#pragma unroll
            for (int r = 0; r < S::R; r++) factor[r] = call.scale;
            store_rows<S>(dq, dq_stride, task.first, n, column, width, sum, factor);
        }
    }
}

// Gradients of keys and of values, where they are not null, over all query heads that read them.
template <typename S, typename T>
__device__ void backward_by_keys(const Call<T>& call, const Known<T>& known, T* dk,
                                 uint64_t dk_stride, T* dv, uint64_t dv_stride) {
    Arena memory = arena();
    T* k = memory.take<T>(S::ROWS * S::STRIDE);
    T* v = memory.take<T>(S::ROWS * S::STRIDE);
    T* q = memory.take<T>(S::INNER * S::STRIDE);
    T* dy = memory.take<T>(S::INNER * S::STRIDE);
    T* tile = memory.take<T>(S::ROWS * S::TILE_STRIDE);
    T* log_sum = memory.take<T>(S::INNER);
    T* delta = memory.take<T>(S::INNER);
    uint32_t* start = memory.take<uint32_t>(S::INNER);
    uint32_t* end = memory.take<uint32_t>(S::INNER);
    uint32_t* query_positions = memory.take<uint32_t>(S::INNER);
    uint32_t* key_positions = memory.take<uint32_t>(S::ROWS);
    uint8_t* keep = memory.take<uint8_t>(S::ROWS * S::INNER / 4);

    uint32_t kv_head = blockIdx.x % call.n_kv_heads, group = call.n_heads / call.n_kv_heads;
    Task task = task_at(call.tasks, blockIdx.x / call.n_kv_heads);
    int n = task.end - task.first, width = call.head_dim;
    uint64_t kv_column = (uint64_t)kv_head * width, all_columns = (uint64_t)call.n_heads * width;
    load_rows<S, S::ROWS>(k, call.k, call.k_stride, task.first, n, kv_column, width, (T)1);
    load_rows<S, S::ROWS>(v, call.v, call.v_stride, task.first, n, kv_column, width, (T)1);
    if (call.table) load_numbers<S, S::ROWS>(key_positions, call.key_positions + task.first, n);

    T sum_k[S::R][S::CHANNELS], sum_v[S::R][S::CHANNELS];
#pragma unroll
    for (int r = 0; r < S::R; r++)
#pragma unroll
        for (int i = 0; i < S::CHANNELS; i++) sum_k[r][i] = sum_v[r][i] = 0;
    for (uint32_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
        uint64_t column = (uint64_t)head * width;
        const T* table = call.table ? call.table + head * call.n_buckets : nullptr;
        for (uint32_t i0 = task.low; i0 < task.high; i0 += S::INNER) {
            int n_queries = min((uint32_t)S::INNER, task.high - i0);
            uint64_t at = (uint64_t)head * call.n_queries + i0;
            __syncthreads();
            load_rows<S, S::INNER>(q, call.q, call.q_stride, i0, n_queries, column, width,
                                   call.scale);
            load_rows<S, S::INNER>(dy, known.dy, all_columns, i0, n_queries, column, width, (T)1);
            load_numbers<S, S::INNER>(start, call.start + i0, n_queries);
            load_numbers<S, S::INNER>(end, call.end + i0, n_queries);
            for (int i = thread(); i < S::INNER; i += S::THREADS) {
                log_sum[i] = i < n_queries ? known.log_sum[at + i] : (T)INFINITY;
                delta[i] = i < n_queries ? known.delta[at + i] : (T)0;
            }
            if (table) load_numbers<S, S::INNER>(query_positions, call.query_positions + i0, n_queries);
            if (call.words)
                draw<S, S::INNER, S::ROWS>(keep, call, head, i0, n_queries, task.first - task.base);
            __syncthreads();

            T score[S::R][S::C], grad[S::R][S::C];
            products<S>(score, k, q, width, n_queries);
            products<S>(grad, v, dy, width, n_queries);
            bool whole = start[n_queries - 1] <= task.first && task.end <= end[0];
#pragma unroll
            for (int c = 0; c < S::C; c++) {
                int query = threadIdx.x + c * LANES;
                uint32_t from = start[query], to = end[query];
                T own_sum = log_sum[query], own_delta = delta[query];
#pragma unroll
                for (int r = 0; r < S::R; r++) {
                    int row = threadIdx.y + r * S::GROUPS;
                    uint32_t j = task.first + row;
                    T s = score[r][c];
                    if (table) s += table[bucket(call, query_positions[query], key_positions[row])];
                    if (!whole && (j < from || j >= to)) s = minus_infinity<T>();
                    T weight = exp_of(s - own_sum), dp = grad[r][c];
                    T keeps = call.words && query < n_queries
                                  ? kept<S::ROWS>(keep, call, query, row)
                                  : (T)1;
                    score[r][c] = weight * keeps;
                    grad[r][c] = weight * (dp * keeps - own_delta);
                }
            }
            // The threads that have a row are in one warp.
            store_tile<S>(tile, score);
            __syncwarp();
            if (dv) add_products<S>(sum_v, tile, dy, n_queries);
            __syncwarp();
            store_tile<S>(tile, grad);
            __syncwarp();
            if (dk) add_products<S>(sum_k, tile, q, n_queries);
        }
    }
    T one[S::R];
#pragma unroll
    for (int r = 0; r < S::R; r++) one[r] = 1;
    if (dk) store_rows<S>(dk, dk_stride, task.first, n, kv_column, width, sum_k, one);
    if (dv) store_rows<S>(dv, dv_stride, task.first, n, kv_column, width, sum_v, one);
}

}  // namespace attention
