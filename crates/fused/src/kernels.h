// Kernels over plain f32 memory, compiled once for each instruction set.
#pragma once

#include <cstdint>

namespace fused {

// A 3×3 convolution of stride 1 with a border of zeros, on [rows, height, width, channels].
struct Convolution {
  const float* input;
  const float* weights;  // [16, inputs, outputs], transformed
  const float* bias;     // [outputs], or none
  float* output;
  int64_t rows, height, width, inputs, outputs;
};

// GroupNorm on [rows, places, channels], with SiLU behind it where `silu` is set.
struct GroupNorm {
  const float* input;
  const float* weight;
  const float* bias;
  float* statistics;  // [rows, groups, 2]: mean and 1 / deviation
  int64_t places, channels, groups;
  double eps;
  bool silu;
};

// What dropout leaves of the values of rows; nothing is lost where there is no `kept`.
struct Dropped {
  const uint8_t* kept;   // 1 or 0 for each value
  const float* factors;  // of each row
};

// Attention of [rows, queries, heads · width] to [rows, keys, heads · width]; strides count from row to row and from
// token to token.
struct Attention {
  const float* query;
  const float* key;
  const float* value;
  const float* mask;  // [rows, keys], added to the scores, or none
  Dropped dropped;    // of [rows, heads, queries, keys]
  int64_t query_strides[2], key_strides[2], value_strides[2];
  float* output;       // [rows, queries, heads · width]
  float* log_sums;     // [rows, heads, queries]
  int64_t queries, keys, heads, width;
  float scale;
};

// Gradients of attention, each [rows, tokens, heads · width].
struct AttentionGradients {
  const float* output;
  float* query;
  float* key;
  float* value;
};

// An update of low rank that is added to [trials, rows, outputs], from [trials, rows, inputs].
struct LowRank {
  const float* input;
  const float* down;  // [trials, rank, inputs]
  const float* up;    // [trials, outputs, rank]
  float* inner;       // [trials, rows, rank]: input · downᵀ
  int64_t rows, inputs, outputs, rank;
  int64_t down_stride, up_stride;  // from trial to trial
};

// Gradients of a low-rank update of one trial.
struct LowRankGradients {
  const float* output;  // [rows, outputs]
  float* input;         // [rows, inputs], to which is added, or none
  float* inner;         // [rows, rank]
};

// Rows that are divided by their norms and by those of as many columns, and multiplied by `strength` and by `scale`.
struct Normalized {
  const float* rows;     // [rank, inputs]
  const float* columns;  // [outputs, rank]
  const float* scale;    // [inputs], or none
  float strength;
  float floor;  // of each norm
  int64_t rank, inputs, outputs;
};

// Gradients of them.
struct NormalizedGradients {
  const float* output;  // [rank, inputs]
  float* rows;          // or none, as the next two
  float* columns;
  float* strength;
};

// AdamW of one trial's values.
struct AdamW {
  float* values;
  const float* gradients;
  float* first_moments;
  float* second_moments;
  float first_weight, second_weight;  // 1 - β
  float clipping, decay, size, eps;
  bool is_sound;  // else its gradients count as zeros
};

struct Kernels {
  int64_t lanes;  // channels of a convolution and of a norm have to be multiples of it
  int64_t tiles;  // of 2×2 places, that a convolution takes at once
  // Floats that a kernel's `space` holds.
  int64_t (*convolve_space)(const Convolution&);
  void (*convolve)(const Convolution&, int64_t first_tile, int64_t last_tile, float* space);
  void (*norm)(const GroupNorm&, int64_t row, float* output, float* space);
  // From the gradient of the output to that of the input; `space` of both holds 4 · channels floats.
  void (*norm_back)(const GroupNorm&, int64_t row, const float* gradient, float* to, float* space);
  // input [rows, 2 · width]: its first half times GELU of its second, [rows, width].
  void (*gate)(const float* input, int64_t rows, int64_t width, float* output);
  void (*gate_back)(const float* input, const float* gradient, int64_t rows, int64_t width, float* to);
  // `count` values of a row; the first of them has number `first` in `kept`.
  void (*drop)(const Dropped&, int64_t row, const float* values, int64_t first, int64_t count, float* output);
  int64_t (*attend_space)(const Attention&);
  void (*attend)(const Attention&, int64_t row, int64_t head, float* space);
  void (*attend_back)(const Attention&, const AttentionGradients&, int64_t row, int64_t head, float* space);
  // The largest magnitude; NaN is larger than any.
  float (*largest)(const float* values, int64_t count);
  int64_t (*update_space)(const LowRank&);
  // Adds the update to `output` [trials, rows, outputs], at rows [first, last) of a trial.
  void (*update)(const LowRank&, int64_t trial, int64_t first, int64_t last, float* output, float* space);
  // Gradients of the input and of what lies between the factors, at rows [first, last) of a trial.
  void (*update_back)(const LowRank&, const LowRankGradients&, int64_t trial, int64_t first, int64_t last, float* space);
  // Gradients of both factors of a trial, from those of its output and of what lies between them.
  void (*factors_back)(const LowRank&, int64_t trial, const float* output, const float* inner, float* down, float* up,
                       float* space);
  // input [rows, width] times `scale` [width] plus `bias` [width], where they are there.
  void (*scale_rows)(const float* input, const float* scale, const float* bias, int64_t rows, int64_t width, float* output);
  // The sum over rows of the products of two [rows, width].
  void (*sum_of_products)(const float* one, const float* other, int64_t rows, int64_t width, float* output);
  // [rank, inputs]; `space` of both holds 3 · rank floats.
  void (*normalize)(const Normalized&, float* output, float* space);
  void (*normalize_back)(const Normalized&, const NormalizedGradients&, float* space);
  void (*adamw)(const AdamW&, int64_t first, int64_t last);
};

}  // namespace fused

extern "C" {
const fused::Kernels* delora_fused_kernels_avx2();
const fused::Kernels* delora_fused_kernels_avx512();
}
