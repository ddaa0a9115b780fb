// Dropout by counter; a thread takes the four elements whose words are one block of the key's.
#include "../cuda/four.cuh"

// y = residual + keep * x; element i is kept, and multiplied by `scale`, if word i is at least
// `threshold`. `residual` may be null.
KERNEL(dropout, (const T* x, const T* residual, T* y, uint64_t n, uint32_t key0, uint32_t key1,
                 uint32_t counter2, uint32_t counter3, uint32_t threshold, T scale), {
    uint64_t block = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x;
    uint64_t i = 4 * block;
    if (i >= n) return;
    Key key = {{key0, key1}, {counter2, counter3}};
    uint4 drawn = philox(key, block);
    uint32_t words[4] = {drawn.x, drawn.y, drawn.z, drawn.w};
    Four<T> four = load4(x + i, n - i);
    Four<T> rest = {{0, 0, 0, 0}};
    if (residual) rest = load4(residual + i, n - i);
    for (int k = 0; k < 4; k++)
        four.v[k] = (words[k] >= threshold ? four.v[k] * scale : (T)0) + rest.v[k];
    store4(y + i, four, n - i);
})
