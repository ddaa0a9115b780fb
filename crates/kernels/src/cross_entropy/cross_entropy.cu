// Cross-entropy of rows of logits. One warp a row: m is the largest logit, s = sum e^(x - m), and
// ln p = x - m - ln s; the gradient is p less the smoothed target.

// The loss of each row, and whether its largest logit, the first if there are several, is the
// target's; over the logits comes their gradient, if it is wanted. An ignored row has the loss 0
// and no gradient. `correct` may be null.
KERNEL(cross_entropy_rows, (T* logits, const uint32_t* targets, double* losses, uint32_t* correct,
                            uint64_t n, uint64_t classes, int64_t ignored, T smoothing, T scale,
                            uint32_t gradient), {
    uint64_t row = blockIdx.x * (uint64_t)blockDim.y + threadIdx.y;
    uint32_t lane = threadIdx.x;
    if (row >= n) return;
    T* x = logits + row * classes;
    uint32_t target = targets[row];
    if ((int64_t)target == ignored) {
        if (lane == 0) losses[row] = 0;
        if (lane == 0 && correct) correct[row] = 0;
        if (gradient) for (uint64_t i = lane; i < classes; i += 32) x[i] = 0;
        return;
    }
    T largest = minus_infinity<T>();
    T sum = 0;
    for (uint64_t i = lane; i < classes; i += 32) {
        largest = x[i] > largest ? x[i] : largest;
        sum += x[i];
    }
    largest = warp_max(largest);
    T of_target = x[target];
    if (correct) {
        uint32_t earlier = 0;
        for (uint64_t i = lane; i < target; i += 32) earlier |= x[i] == largest;
        bool first = !__any_sync(0xffffffffu, earlier);
        if (lane == 0) correct[row] = of_target == largest && first;
    }
    double above_mean = 0;
    if (smoothing != 0) above_mean = (double)largest - (double)warp_sum(sum) / classes;
    T total = 0;
    for (uint64_t i = lane; i < classes; i += 32) total += exp_of(x[i] - largest);
    total = warp_sum(total);
    if (lane == 0) {
        double above_target = (double)(largest - of_target);
        losses[row] = log((double)total) + (1 - (double)smoothing) * above_target
                    + (double)smoothing * above_mean;
    }
    if (!gradient) return;
    T factor = scale / total;
    T even = scale * smoothing / classes;
    for (uint64_t i = lane; i < classes; i += 32) {
        T p = exp_of(x[i] - largest) * factor - even;
        x[i] = i == target ? p - scale * (1 - smoothing) : p;
    }
})

// y += bias, row by row.
KERNEL(add_bias, (T* y, const T* bias, uint64_t n, uint64_t columns), {
    uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x;
    if (i < n) y[i] += bias[i % columns];
})

// The sum of n numbers times `scale`, added up in one order; one block.
KERNEL(scaled_sum, (const double* numbers, uint64_t n, double scale, T* sum), {
    __shared__ double of_warp[32];
    double mine = 0;
    for (uint64_t i = threadIdx.x; i < n; i += blockDim.x) mine += numbers[i];
    mine = warp_sum(mine);
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = mine;
    __syncthreads();
    if (threadIdx.x >= 32) return;
    double all = warp_sum(threadIdx.x < blockDim.x / 32 ? of_warp[threadIdx.x] : 0.0);
    if (threadIdx.x == 0) *sum = (T)(all * scale);
})

// The column of the largest value of each row, the first if there are several; one warp a row.
KERNEL(argmax_rows, (const T* values, uint32_t* columns, uint64_t n, uint64_t width), {
    uint64_t row = blockIdx.x * (uint64_t)blockDim.y + threadIdx.y;
    if (row >= n) return;
    const T* x = values + row * width;
    T largest = minus_infinity<T>();
    for (uint64_t i = threadIdx.x; i < width; i += 32) largest = x[i] > largest ? x[i] : largest;
    largest = warp_max(largest);
    uint32_t first = 0xffffffffu;
    for (uint64_t i = threadIdx.x; i < width && first == 0xffffffffu; i += 32)
        if (x[i] == largest) first = (uint32_t)i;
    first = __reduce_min_sync(0xffffffffu, first);
    // Not a number everywhere: as on the CPU, the first.
    if (threadIdx.x == 0) columns[row] = first == 0xffffffffu ? 0 : first;
})
