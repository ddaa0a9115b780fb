// The forward pass: each query takes one step of the online softmax for each tile of keys.
#pragma once
#include "tile.cuh"

namespace attention {

// y: [n_queries, n_heads * head_dim]; log_sum: [n_heads, n_queries].
template <typename S, typename T> __device__ void forward(const Call<T>& call, T* y, T* log_sum) {
    Arena memory = arena();
    T* q = memory.take<T>(S::ROWS * S::STRIDE);
    // The keys of a tile, then its values.
    T* kv = memory.take<T>(S::INNER * S::STRIDE);
    T* weights = memory.take<T>(S::ROWS * S::TILE_STRIDE);
    uint32_t* start = memory.take<uint32_t>(S::ROWS);
    uint32_t* end = memory.take<uint32_t>(S::ROWS);
    uint32_t* query_positions = memory.take<uint32_t>(S::ROWS);
    uint32_t* key_positions = memory.take<uint32_t>(S::INNER);
    uint8_t* keep = memory.take<uint8_t>(S::ROWS * S::INNER / 4);

    uint32_t head = blockIdx.x % call.n_heads;
    Task task = task_at(call.tasks, blockIdx.x / call.n_heads);
    int n = task.end - task.first, width = call.head_dim;
    uint64_t column = (uint64_t)head * width;
    uint64_t kv_column = (uint64_t)(head / (call.n_heads / call.n_kv_heads)) * width;
    const T* table = call.table ? call.table + head * call.n_buckets : nullptr;
    load_rows<S, S::ROWS>(q, call.q, call.q_stride, task.first, n, column, width, call.scale);
    load_numbers<S, S::ROWS>(start, call.start + task.first, n);
    load_numbers<S, S::ROWS>(end, call.end + task.first, n);
    if (table) load_numbers<S, S::ROWS>(query_positions, call.query_positions + task.first, n);

    T largest[S::R], total[S::R], sum[S::R][S::CHANNELS];
#pragma unroll
    for (int r = 0; r < S::R; r++) {
        largest[r] = minus_infinity<T>();
        total[r] = 0;
#pragma unroll
        for (int i = 0; i < S::CHANNELS; i++) sum[r][i] = 0;
    }
    // Keys that all queries read.
    uint32_t all_from = call.start[task.end - 1], all_to = call.end[task.first];
    uint32_t low = task.base + (task.low - task.base) / S::INNER * S::INNER;
    for (uint32_t j0 = low; j0 < task.high; j0 += S::INNER) {
        int n_keys = min((uint32_t)S::INNER, task.high - j0);
        __syncthreads();
        load_rows<S, S::INNER>(kv, call.k, call.k_stride, j0, n_keys, kv_column, width, (T)1);
        if (table) load_numbers<S, S::INNER>(key_positions, call.key_positions + j0, n_keys);
        if (call.words)
            draw<S, S::ROWS, S::INNER>(keep, call, head, task.first, n, j0 - task.base);
        __syncthreads();

        T score[S::R][S::C];
        products<S>(score, q, kv, width, n_keys);
        bool whole = all_from <= j0 && j0 + S::INNER <= all_to;
#pragma unroll
        for (int r = 0; r < S::R; r++) {
            int row = threadIdx.y + r * S::GROUPS;
            if (table) {
#pragma unroll
                for (int c = 0; c < S::C; c++) {
                    uint32_t key_position = key_positions[threadIdx.x + c * LANES];
                    score[r][c] += table[bucket(call, query_positions[row], key_position)];
                }
            }
            if (!whole) {
                uint32_t from = start[row], to = end[row];
#pragma unroll
                for (int c = 0; c < S::C; c++) {
                    uint32_t j = j0 + threadIdx.x + c * LANES;
                    if (j < from || j >= to) score[r][c] = minus_infinity<T>();
                }
            }
            T most = score[r][0];
#pragma unroll
            for (int c = 1; c < S::C; c++) most = score[r][c] > most ? score[r][c] : most;
            most = row_max(most);
            most = largest[r] > most ? largest[r] : most;
            // Where all scores are -inf, so that -inf less it is -inf, not NaN.
            T shift = most == minus_infinity<T>() ? (T)0 : most;
            T shrink = exp_of(largest[r] - shift);
            largest[r] = most;
            total[r] *= shrink;
#pragma unroll
            for (int c = 0; c < S::C; c++) {
                score[r][c] = exp_of(score[r][c] - shift);
                total[r] += score[r][c];
            }
            if (call.words) {
#pragma unroll
                for (int c = 0; c < S::C; c++)
                    score[r][c] *= kept<S::INNER>(keep, call, row, threadIdx.x + c * LANES);
            }
#pragma unroll
            for (int i = 0; i < S::CHANNELS; i++) sum[r][i] *= shrink;
        }
        store_tile<S>(weights, score);
        __syncthreads();
        load_rows<S, S::INNER>(kv, call.v, call.v_stride, j0, n_keys, kv_column, width, (T)1);
        __syncthreads();
        add_products<S>(sum, weights, kv, n_keys);
    }

    T factor[S::R];
#pragma unroll
    for (int r = 0; r < S::R; r++) {
        total[r] = row_sum(total[r]);
        bool none = total[r] == 0;
        factor[r] = none ? (T)0 : 1 / total[r];
        int row = threadIdx.y + r * S::GROUPS;
        if (threadIdx.x == 0 && row < n)
            log_sum[(uint64_t)head * call.n_queries + task.first + row] =
                none ? (T)INFINITY : largest[r] + log_of(total[r]);
    }
    store_rows<S>(y, call.n_heads * (uint64_t)width, task.first, n, column, width, sum, factor);
}

}  // namespace attention
