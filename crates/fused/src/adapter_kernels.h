// Kernels of adapters: updates of low rank, normalized rows, and AdamW.
#pragma once

#include "kernels.h"
#include "vectors.h"

namespace {

int64_t update_space(const fused::LowRank& u) {
  return rounded_up(u.rank) * (u.inputs > u.outputs ? u.inputs : u.outputs) + u.rows * rounded_up(u.rank);
}

// Rows of `rank` values, without the zeros behind them.
void unpack(const float* from, int64_t rows, int64_t rank, int64_t padded, float* to) {
  for (int64_t row = 0; row < rows; row++) std::memcpy(to + row * rank, from + row * padded, rank * sizeof(float));
}

void update(const fused::LowRank& u, int64_t trial, int64_t first, int64_t last, float* output, float* space) {
  const int64_t padded = rounded_up(u.rank), rows = last - first, start = trial * u.rows + first;
  float* factor = space;
  float* inner = factor + padded * (u.inputs > u.outputs ? u.inputs : u.outputs);
  pack_turned(u.down + trial * u.down_stride, u.inputs, u.rank, u.inputs, padded, factor);  // [inputs, padded]
  multiply({u.input + start * u.inputs, u.inputs, 1}, factor, padded, inner, padded, rows, padded, u.inputs);
  unpack(inner, rows, u.rank, padded, u.inner + start * u.rank);
  pack_turned(u.up + trial * u.up_stride, u.rank, u.outputs, u.rank, u.outputs, factor);  // [rank, outputs]
  multiply<true>({inner, padded, 1}, factor, u.outputs, output + first * u.outputs, u.outputs, rows, u.outputs, u.rank);
}

void update_back(const fused::LowRank& u, const fused::LowRankGradients& g, int64_t trial, int64_t first, int64_t last,
                 float* space) {
  const int64_t padded = rounded_up(u.rank), rows = last - first;
  float* factor = space;
  float* inner = factor + padded * (u.inputs > u.outputs ? u.inputs : u.outputs);
  pack(u.up + trial * u.up_stride, u.rank, u.outputs, u.rank, padded, factor);  // [outputs, padded]
  multiply({g.output + first * u.outputs, u.outputs, 1}, factor, padded, inner, padded, rows, padded, u.outputs);
  unpack(inner, rows, u.rank, padded, g.inner + first * u.rank);
  if (g.input != nullptr) {
    multiply<true>({inner, padded, 1}, u.down + trial * u.down_stride, u.inputs, g.input + first * u.inputs, u.inputs, rows,
                   u.inputs, u.rank);
  }
}

void factors_back(const fused::LowRank& u, int64_t trial, const float* output, const float* inner, float* down, float* up,
                  float* space) {
  const int64_t start = trial * u.rows;
  multiply({inner, 1, u.rank}, u.input + start * u.inputs, u.inputs, down, u.inputs, u.rank, u.inputs, u.rows);
  // [rank, outputs]
  multiply({u.inner + start * u.rank, 1, u.rank}, output, u.outputs, space, u.outputs, u.rank, u.outputs, u.rows);
  pack_turned(space, u.outputs, u.rank, u.outputs, u.rank, up);
}

void scale_rows(const float* input, const float* scale, const float* bias, int64_t rows, int64_t width, float* output) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t place = 0; place < width; place += LANES) {
      Vector values = load(input + row * width + place);
      if (scale != nullptr) values *= load(scale + place);
      if (bias != nullptr) values += load(bias + place);
      store(output + row * width + place, values);
    }
  }
}

void sum_of_products(const float* one, const float* other, int64_t rows, int64_t width, float* output) {
  std::memset(output, 0, width * sizeof(float));
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t place = 0; place < width; place += LANES) {
      const int64_t at = row * width + place;
      store(output + place, load(output + place) + load(one + at) * load(other + at));
    }
  }
}

// Norms of rows and of columns, each at least `floor`, and `strength` by both.
struct Norms {
  float *of_rows, *of_columns, *strengths;

  Norms(const fused::Normalized& n, float* space)
      : of_rows(space), of_columns(space + n.rank), strengths(space + 2 * n.rank) {
    std::memset(of_columns, 0, n.rank * sizeof(float));
    for (int64_t output = 0; output < n.outputs; output++) {
      const float* values = n.columns + output * n.rank;
      for (int64_t index = 0; index < n.rank; index++) of_columns[index] += values[index] * values[index];
    }
    for (int64_t index = 0; index < n.rank; index++) {
      const float* row = n.rows + index * n.inputs;
      Vector squares{};
      for (int64_t place = 0; place < n.inputs; place += LANES) squares += load(row + place) * load(row + place);
      const float norm = __builtin_sqrtf(sum(squares)), column = __builtin_sqrtf(of_columns[index]);
      of_rows[index] = norm < n.floor ? n.floor : norm;
      of_columns[index] = column < n.floor ? n.floor : column;
      strengths[index] = n.strength / (of_rows[index] * of_columns[index]);
    }
  }
};

void normalize(const fused::Normalized& n, float* output, float* space) {
  const Norms norms(n, space);
  for (int64_t index = 0; index < n.rank; index++) {
    for (int64_t place = 0; place < n.inputs; place += LANES) {
      const int64_t at = index * n.inputs + place;
      Vector values = load(n.rows + at) * norms.strengths[index];
      if (n.scale != nullptr) values *= load(n.scale + place);
      store(output + at, values);
    }
  }
}

void normalize_back(const fused::Normalized& n, const fused::NormalizedGradients& g, float* space) {
  const Norms norms(n, space);
  float total = 0;
  for (int64_t index = 0; index < n.rank; index++) {
    const float* row = n.rows + index * n.inputs;
    const float* gradient = g.output + index * n.inputs;
    const auto scaled = [&](int64_t place) {
      const Vector values = load(gradient + place);
      return n.scale != nullptr ? values * load(n.scale + place) : values;
    };
    Vector products{};
    for (int64_t place = 0; place < n.inputs; place += LANES) products += scaled(place) * load(row + place);
    const float along = sum(products), strength = norms.strengths[index];
    total += along / (norms.of_rows[index] * norms.of_columns[index]);
    if (g.rows != nullptr) {
      const float norm = norms.of_rows[index];
      const float back = norm > n.floor ? along * strength / (norm * norm) : 0.0f;
      for (int64_t place = 0; place < n.inputs; place += LANES) {
        store(g.rows + index * n.inputs + place, scaled(place) * strength - load(row + place) * back);
      }
    }
    const float norm = norms.of_columns[index];
    norms.strengths[index] = norm > n.floor ? -along * strength / (norm * norm) : 0.0f;
  }
  if (g.strength != nullptr) *g.strength = total;
  if (g.columns == nullptr) return;
  for (int64_t output = 0; output < n.outputs; output++) {
    const float* values = n.columns + output * n.rank;
    float* to = g.columns + output * n.rank;
    for (int64_t index = 0; index < n.rank; index++) to[index] = values[index] * norms.strengths[index];
  }
}

void adamw(const fused::AdamW& a, int64_t first, int64_t last) {
  for (int64_t place = first; place < last; place++) {
    const float gradient = a.is_sound ? a.gradients[place] * a.clipping : 0.0f;
    const float first_moment = a.first_moments[place] + a.first_weight * (gradient - a.first_moments[place]);
    const float second_moment =
        a.second_moments[place] + a.second_weight * (gradient * gradient - a.second_moments[place]);
    a.first_moments[place] = first_moment;
    a.second_moments[place] = second_moment;
    a.values[place] = a.values[place] * a.decay - a.size * first_moment / (__builtin_sqrtf(second_moment) + a.eps);
  }
}

}  // namespace
