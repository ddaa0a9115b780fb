// Exact attention in tiles: kernels for heads of up to 32, 64, 128 and 256 channels.
#include "cuda/backward.cuh"
#include "cuda/forward.cuh"

#define ATTENTION_PARAMETERS(T)                                                                   \
    const T *q, uint64_t q_stride, const T *k, uint64_t k_stride, const T *v, uint64_t v_stride,  \
        const uint32_t *start, const uint32_t *end, const uint32_t *tasks, uint64_t n_tasks,      \
        uint32_t n_queries, uint32_t n_heads, uint32_t n_kv_heads, uint32_t head_dim, T scale,    \
        const T *table, int64_t n_buckets, int64_t offset, const uint32_t *query_positions,       \
        const uint32_t *key_positions, uint64_t words, uint32_t key0, uint32_t key1,              \
        uint32_t counter2, uint32_t counter3, uint32_t threshold, T factor

#define ATTENTION_CALL(T)                                                                         \
    attention::Call<T> call = {q,          k,         v,        q_stride,                         \
                               k_stride,   v_stride,  start,    end,                              \
                               tasks,      n_tasks,   n_queries, n_heads,                         \
                               n_kv_heads, head_dim,  scale,    table,                            \
                               n_buckets,  offset,    query_positions, key_positions,             \
                               words,      {{key0, key1}, {counter2, counter3}}, threshold, factor}

// The three kernels for heads of up to D channels.
#define ATTENTION(T, suffix, D)                                                                   \
    extern "C" __global__ void                                                                    \
    __launch_bounds__(attention::Shape<T, D>::Forward::THREADS, attention::Shape<T, D>::Forward::BLOCKS) \
        attention_forward_##D##_##suffix(ATTENTION_PARAMETERS(T), T* y, T* log_sum) {             \
        ATTENTION_CALL(T);                                                                        \
        attention::forward<attention::Shape<T, D>::Forward>(call, y, log_sum);                    \
    }                                                                                             \
    extern "C" __global__ void                                                                    \
    __launch_bounds__(attention::Shape<T, D>::Backward::THREADS, attention::Shape<T, D>::Backward::BLOCKS) \
        attention_by_queries_##D##_##suffix(ATTENTION_PARAMETERS(T), const T* y, const T* dy,     \
                                            const T* log_sum, T* delta, T* dq,                    \
                                            uint64_t dq_stride, T* tables) {                      \
        ATTENTION_CALL(T);                                                                        \
        attention::Known<T> known = {y, dy, log_sum, delta};                                      \
        attention::backward_by_queries<attention::Shape<T, D>::Backward>(call, known, dq,         \
                                                                         dq_stride, tables);      \
    }                                                                                             \
    extern "C" __global__ void                                                                    \
    __launch_bounds__(attention::Shape<T, D>::Backward::THREADS, attention::Shape<T, D>::Backward::BLOCKS) \
        attention_by_keys_##D##_##suffix(ATTENTION_PARAMETERS(T), const T* y, const T* dy,        \
                                         const T* log_sum, T* delta, T* dk, uint64_t dk_stride,   \
                                         T* dv, uint64_t dv_stride) {                             \
        ATTENTION_CALL(T);                                                                        \
        attention::Known<T> known = {y, dy, log_sum, delta};                                      \
        attention::backward_by_keys<attention::Shape<T, D>::Backward>(call, known, dk, dk_stride, \
                                                                      dv, dv_stride);             \
    }

ATTENTION(float, f32, 32)
ATTENTION(float, f32, 64)
ATTENTION(float, f32, 128)
ATTENTION(float, f32, 256)
ATTENTION(double, f64, 32)
ATTENTION(double, f64, 64)
ATTENTION(double, f64, 128)
ATTENTION(double, f64, 256)

// Rows of heads turned by their positions: channel i of the first `half` is paired with channel
// i of the next. `backwards` turns by the negative angle. `to` may be `from`. A thread has one pair, or
// one of the channels that stay as they are.
KERNEL(attention_turn, (const T* from, uint64_t from_stride, T* to, uint64_t to_stride,
                        const T* cosines, const T* sines, const uint32_t* positions, uint64_t n,
                        uint64_t n_heads, uint32_t head_dim, uint32_t half, uint32_t backwards), {
    uint32_t per_head = head_dim - half;
    uint64_t at = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x;
    uint64_t row = at / (n_heads * per_head);
    if (row >= n) return;
    uint32_t within = (uint32_t)(at % (n_heads * per_head));
    uint32_t head = within / per_head, i = within % per_head;
    from += row * from_stride + head * (uint64_t)head_dim;
    to += row * to_stride + head * (uint64_t)head_dim;
    if (i >= half) {
        to[half + i] = from[half + i];
        return;
    }
    uint64_t angle = positions[row] * (uint64_t)half + i;
    T cosine = cosines[angle], sine = backwards ? -sines[angle] : sines[angle];
    T a = from[i], b = from[half + i];
    to[i] = a * cosine - b * sine;
    to[half + i] = a * sine + b * cosine;
})

#undef ATTENTION_PARAMETERS
#undef ATTENTION_CALL
#undef ATTENTION
