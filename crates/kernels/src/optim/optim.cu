// Optimisers and averages, number by number, in f32. Products and sums are rounded one by one, as
// on the CPU: the same numbers come out, to the bit.

namespace {
__device__ inline float mul(float a, float b) { return __fmul_rn(a, b); }
__device__ inline float add(float a, float b) { return __fadd_rn(a, b); }
__device__ inline float sub(float a, float b) { return __fsub_rn(a, b); }
}  // namespace

#define OPTIM_KERNEL(name, parameters, ...)                                      \
    extern "C" __global__ void name##_f32 parameters {                           \
        uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x;            \
        if (i >= n) return;                                                      \
        __VA_ARGS__                                                              \
    }

OPTIM_KERNEL(adamw, (float* p, const float* grads, float* m, float* v, uint64_t n, float grad_scale,
                     float shrink, float penalty, float one_less_beta1, float beta2,
                     float one_less_beta2, float root_of_correction2, float eps, float step_size), {
    float g = mul(grads[i], grad_scale);
    if (penalty != 0) g = add(g, mul(penalty, p[i]));
    m[i] = add(m[i], mul(one_less_beta1, sub(g, m[i])));
    v[i] = add(mul(v[i], beta2), mul(mul(one_less_beta2, g), g));
    float root = add(__fdiv_rn(__fsqrt_rn(v[i]), root_of_correction2), eps);
    p[i] = sub(mul(p[i], shrink), mul(step_size, __fdiv_rn(m[i], root)));
})

OPTIM_KERNEL(sgd, (float* p, const float* grads, float* m, uint64_t n, float grad_scale,
                   float weight_decay, float momentum, uint32_t nesterov, float lr), {
    float g = add(mul(grads[i], grad_scale), mul(weight_decay, p[i]));
    m[i] = add(mul(momentum, m[i]), g);
    float direction = nesterov ? add(g, mul(momentum, m[i])) : m[i];
    p[i] = sub(p[i], mul(lr, direction));
})

OPTIM_KERNEL(lion, (float* p, const float* grads, float* m, uint64_t n, float grad_scale,
                    float shrink, float beta1, float one_less_beta1, float beta2,
                    float one_less_beta2, float lr), {
    float g = mul(grads[i], grad_scale);
    float mixed = add(mul(beta1, m[i]), mul(one_less_beta1, g));
    // Zero has no sign, and NaN stays.
    float sign = mixed > 0 ? 1.0f : mixed < 0 ? -1.0f : mixed;
    p[i] = sub(mul(p[i], shrink), mul(lr, sign));
    m[i] = add(mul(beta2, m[i]), mul(one_less_beta2, g));
})

// average += by (p - average)
OPTIM_KERNEL(approach, (float* average, const float* p, float by, uint64_t n), {
    average[i] = add(average[i], mul(by, sub(p[i], average[i])));
})

OPTIM_KERNEL(exchange, (float* a, float* b, uint64_t n), {
    float x = a[i];
    a[i] = b[i];
    b[i] = x;
})

// sums[block] = the sum of squares of 4096 numbers, added up in f64 and in one order.
extern "C" __global__ void sum_of_squares_f32(const float* x, uint64_t n, double* sums) {
    __shared__ double of_warp[8];
    uint64_t first = blockIdx.x * (uint64_t)4096;
    double mine = 0;
    for (uint64_t i = first + threadIdx.x; i < first + 4096 && i < n; i += 256)
        mine += (double)x[i] * (double)x[i];
    mine = warp_sum(mine);
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = mine;
    __syncthreads();
    if (threadIdx.x != 0) return;
    double all = 0;
    for (int i = 0; i < 8; i++) all += of_warp[i];
    sums[blockIdx.x] = all;
}
