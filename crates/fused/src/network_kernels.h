// Kernels of networks: convolutions, norms, GEGLU and attention.
#pragma once

#include "kernels.h"
#include "vectors.h"

namespace {

// Winograd's F(2×2, 3×3): 16 products where the sum over the kernel takes 36. (Lavin and Gray, 2016.)

constexpr int64_t TILES = 96;

// Planes that lie a power of two apart would share lines of the cache.
int64_t plane(int64_t channels) { return TILES * channels + LANES; }

int64_t convolve_space(const fused::Convolution& c) { return 16 * (plane(c.inputs) + plane(c.outputs)) + c.inputs; }

void convolve(const fused::Convolution& c, int64_t first_tile, int64_t last_tile, float* space) {
  const int64_t down = (c.height + 1) / 2, across = (c.width + 1) / 2;
  const int64_t input_plane = plane(c.inputs), output_plane = plane(c.outputs);
  float* inputs = space;                        // [16, TILES, inputs]
  float* outputs = inputs + 16 * input_plane;   // [16, TILES, outputs]
  float* border = outputs + 16 * output_plane;  // zeros
  std::memset(border, 0, c.inputs * sizeof(float));
  for (int64_t first = first_tile; first < last_tile; first += TILES) {
    const int64_t count = last_tile - first < TILES ? last_tile - first : TILES;
    for (int64_t tile = 0; tile < count; tile++) {
      const int64_t row = (first + tile) / (down * across);
      const int64_t top = 2 * ((first + tile) / across % down) - 1, left = 2 * ((first + tile) % across) - 1;
      const float* places[4][4];
      for (int64_t y = 0; y < 4; y++) {
        for (int64_t x = 0; x < 4; x++) {
          const bool inside = top + y >= 0 && top + y < c.height && left + x >= 0 && left + x < c.width;
          places[y][x] =
              inside ? c.input + ((row * c.height + top + y) * c.width + left + x) * c.inputs : border;
        }
      }
      for (int64_t channel = 0; channel < c.inputs; channel += LANES) {
        Vector rows[4][4];
        for (int x = 0; x < 4; x++) {
          const Vector d0 = load(places[0][x] + channel), d1 = load(places[1][x] + channel);
          const Vector d2 = load(places[2][x] + channel), d3 = load(places[3][x] + channel);
          rows[0][x] = d0 - d2;
          rows[1][x] = d1 + d2;
          rows[2][x] = d2 - d1;
          rows[3][x] = d1 - d3;
        }
        for (int y = 0; y < 4; y++) {
          float* to = inputs + 4 * y * input_plane + tile * c.inputs + channel;
          store(to, rows[y][0] - rows[y][2]);
          store(to + input_plane, rows[y][1] + rows[y][2]);
          store(to + 2 * input_plane, rows[y][2] - rows[y][1]);
          store(to + 3 * input_plane, rows[y][1] - rows[y][3]);
        }
      }
    }
    for (int64_t point = 0; point < 16; point++) {
      multiply({inputs + point * input_plane, c.inputs, 1}, c.weights + point * c.inputs * c.outputs, c.outputs,
               outputs + point * output_plane, c.outputs, count, c.outputs, c.inputs);
    }
    for (int64_t tile = 0; tile < count; tile++) {
      const int64_t row = (first + tile) / (down * across);
      const int64_t top = 2 * ((first + tile) / across % down), left = 2 * ((first + tile) % across);
      for (int64_t channel = 0; channel < c.outputs; channel += LANES) {
        Vector rows[2][4];
        for (int x = 0; x < 4; x++) {
          const float* from = outputs + x * output_plane + tile * c.outputs + channel;
          const Vector d0 = load(from), d1 = load(from + 4 * output_plane);
          const Vector d2 = load(from + 8 * output_plane), d3 = load(from + 12 * output_plane);
          rows[0][x] = d0 + d1 + d2;
          rows[1][x] = d1 - d2 - d3;
        }
        const Vector bias = c.bias ? load(c.bias + channel) : Vector{};
        for (int64_t y = 0; y < 2 && top + y < c.height; y++) {
          float* to = c.output + ((row * c.height + top + y) * c.width + left) * c.outputs + channel;
          store(to, rows[y][0] + rows[y][1] + rows[y][2] + bias);
          if (left + 1 < c.width) store(to + c.outputs, rows[y][1] - rows[y][2] - rows[y][3] + bias);
        }
      }
    }
  }
}

// Weight and bias of each channel when the norm is one product and one sum: [2, channels].
void norm_line(const fused::GroupNorm& n, int64_t row, float* line) {
  const int64_t width = n.channels / n.groups;
  for (int64_t channel = 0; channel < n.channels; channel++) {
    const float* found = n.statistics + 2 * (row * n.groups + channel / width);
    line[channel] = n.weight[channel] * found[1];
    line[n.channels + channel] = n.bias[channel] - found[0] * line[channel];
  }
}

void norm(const fused::GroupNorm& n, int64_t row, float* output, float* space) {
  const int64_t values = n.places * n.channels, width = n.channels / n.groups;
  const float* input = n.input + row * values;
  float* means = space;                 // of each channel's group
  float* sums = space + n.channels;     // of each channel
  for (int64_t pass = 0; pass < 2; pass++) {
    for (int64_t channel = 0; channel < n.channels; channel += LANES) {
      const Vector mean = pass == 0 ? Vector{} : load(means + channel);
      Vector total{};
      for (int64_t place = 0; place < values; place += n.channels) {
        const Vector value = load(input + place + channel) - mean;
        total += pass == 0 ? value : value * value;
      }
      store(sums + channel, total);
    }
    for (int64_t group = 0; group < n.groups; group++) {
      double total = 0;
      for (int64_t channel = group * width; channel < (group + 1) * width; channel++) total += sums[channel];
      total /= static_cast<double>(n.places * width);
      float* found = n.statistics + 2 * (row * n.groups + group);
      found[pass] = pass == 0 ? total : 1.0 / __builtin_sqrt(total + n.eps);
      if (pass == 0) {
        for (int64_t channel = group * width; channel < (group + 1) * width; channel++) means[channel] = total;
      }
    }
  }
  norm_line(n, row, space);
  output += row * values;
  for (int64_t place = 0; place < values; place += n.channels) {
    for (int64_t channel = 0; channel < n.channels; channel += LANES) {
      const Vector line = load(input + place + channel) * load(space + channel) + load(space + n.channels + channel);
      store(output + place + channel, n.silu ? line * sigmoid(line) : line);
    }
  }
}

void norm_back(const fused::GroupNorm& n, int64_t row, const float* gradient, float* to, float* space) {
  const int64_t values = n.places * n.channels, width = n.channels / n.groups;
  const float* input = n.input + row * values;
  gradient += row * values;
  to += row * values;
  norm_line(n, row, space);
  float* sums = space + 2 * n.channels;  // of each channel: gradients, and gradients times inputs
  std::memset(sums, 0, 2 * n.channels * sizeof(float));
  for (int64_t place = 0; place < values; place += n.channels) {
    for (int64_t channel = 0; channel < n.channels; channel += LANES) {
      const Vector value = load(input + place + channel);
      Vector inner = load(gradient + place + channel);
      if (n.silu) {
        const Vector line = value * load(space + channel) + load(space + n.channels + channel);
        const Vector share = sigmoid(line);
        inner *= share * (1.0f + line * (1.0f - share));
      }
      store(to + place + channel, inner);
      store(sums + channel, load(sums + channel) + inner);
      store(sums + n.channels + channel, load(sums + n.channels + channel) + inner * value);
    }
  }
  // A group's gradient loses its mean and what goes along its values.
  for (int64_t group = 0; group < n.groups; group++) {
    const float* found = n.statistics + 2 * (row * n.groups + group);
    const double mean = found[0], inverse = found[1], count = static_cast<double>(n.places * width);
    double plain = 0, along = 0;
    for (int64_t channel = group * width; channel < (group + 1) * width; channel++) {
      plain += static_cast<double>(n.weight[channel]) * sums[channel];
      along += static_cast<double>(n.weight[channel]) * (sums[n.channels + channel] - mean * sums[channel]);
    }
    const double slope = -along * inverse * inverse * inverse / count;
    for (int64_t channel = group * width; channel < (group + 1) * width; channel++) {
      sums[channel] = slope;
      sums[n.channels + channel] = -plain * inverse / count - slope * mean;
    }
  }
  for (int64_t place = 0; place < values; place += n.channels) {
    for (int64_t channel = 0; channel < n.channels; channel += LANES) {
      const Vector inner = load(to + place + channel) * load(space + channel);
      const Vector line = load(input + place + channel) * load(sums + channel) + load(sums + n.channels + channel);
      store(to + place + channel, inner + line);
    }
  }
}

constexpr float HALF_ROOT = 0.707106781f;      // 1 / √2
constexpr float DENSITY = 0.398942280f;        // 1 / √(2 π)

void gate(const float* input, int64_t rows, int64_t width, float* output) {
  for (int64_t row = 0; row < rows; row++, input += 2 * width, output += width) {
    for (int64_t place = 0; place < width; place += LANES) {
      const Vector value = load(input + width + place);
      const Vector gelu = value * (0.5f + 0.5f * erf(value * HALF_ROOT));
      store(output + place, load(input + place) * gelu);
    }
  }
}

void gate_back(const float* input, const float* gradient, int64_t rows, int64_t width, float* to) {
  for (int64_t row = 0; row < rows; row++, input += 2 * width, gradient += width, to += 2 * width) {
    for (int64_t place = 0; place < width; place += LANES) {
      const Vector value = load(input + width + place), wanted = load(gradient + place);
      const Vector share = 0.5f + 0.5f * erf(value * HALF_ROOT);
      const Vector slope = share + value * DENSITY * exp(-0.5f * value * value);
      store(to + place, wanted * value * share);
      store(to + width + place, wanted * load(input + place) * slope);
    }
  }
}

void drop(const fused::Dropped& dropped, int64_t row, const float* values, int64_t first, int64_t count, float* output) {
  const float factor = dropped.factors[row];
  int64_t place = 0;
  for (; place + LANES <= count; place += LANES) {
    store(output + place, load(values + place) * (factor * load_bytes(dropped.kept + first + place, LANES)));
  }
  for (; place < count; place++) output[place] = values[place] * (factor * dropped.kept[first + place]);
}

constexpr int64_t QUERIES = 32;  // taken at once, so that their scores stay in the nearest cache

// Spaces of attention: keys and values once as they are and once transposed, blocks of queries, and two of scores.
struct AttentionSpace {
  int64_t keys, width;  // rounded up
  float *key, *value, *key_turned, *value_turned, *key_gradient, *value_gradient;
  float *query, *gradient, *result, *scores, *changes, *mask;

  AttentionSpace(const fused::Attention& a, float* space) : keys(rounded_up(a.keys)), width(rounded_up(a.width)) {
    float* next = space;
    const auto take = [&next](int64_t count) {
      float* taken = next;
      next += count;
      return taken;
    };
    float** matrices[] = {&key, &value, &key_turned, &value_turned, &key_gradient, &value_gradient};
    for (float** matrix : matrices) *matrix = take(keys * width);
    float** blocks[] = {&query, &gradient, &result};
    for (float** block : blocks) *block = take(QUERIES * width);
    float** products[] = {&scores, &changes};
    for (float** product : products) *product = take(QUERIES * keys);
    mask = take(keys);
    end = next;
  }
  float* end;
};

int64_t attend_space(const fused::Attention& a) { return AttentionSpace(a, nullptr).end - static_cast<float*>(nullptr); }

// -inf behind the last key, and the row's own mask before.
void pack_mask(const fused::Attention& a, int64_t row, AttentionSpace& space) {
  for (int64_t key = 0; key < space.keys; key++) {
    space.mask[key] = key >= a.keys ? -__builtin_inff() : a.mask ? a.mask[row * a.keys + key] : 0.0f;
  }
}

// What a query's shares are multiplied by, from a key on.
inline Vector kept_share(const fused::Attention& a, int64_t row, int64_t head, int64_t query, int64_t key) {
  if (a.dropped.kept == nullptr) return all(1.0f);
  const uint8_t* kept = a.dropped.kept + ((row * a.heads + head) * a.queries + query) * a.keys;
  return load_bytes(kept + key, a.keys - key) * a.dropped.factors[row];
}

// Where a head's features of a row begin, from a token on.
const float* head_of(const float* values, const int64_t (&strides)[2], int64_t row, int64_t token, int64_t feature) {
  return values + row * strides[0] + token * strides[1] + feature;
}

void attend(const fused::Attention& a, int64_t row, int64_t head, float* memory) {
  AttentionSpace space(a, memory);
  const int64_t features = a.heads * a.width;
  const float* key = head_of(a.key, a.key_strides, row, 0, head * a.width);
  const float* value = head_of(a.value, a.value_strides, row, 0, head * a.width);
  pack_turned(key, a.key_strides[1], a.keys, a.width, space.keys, space.key_turned);
  pack(value, a.value_strides[1], a.keys, a.width, space.width, space.value);
  pack_mask(a, row, space);
  for (int64_t first = 0; first < a.queries; first += QUERIES) {
    const int64_t count = a.queries - first < QUERIES ? a.queries - first : QUERIES;
    const float* query = head_of(a.query, a.query_strides, row, first, head * a.width);
    multiply({query, a.query_strides[1], 1}, space.key_turned, space.keys, space.scores, space.keys, count, space.keys,
             a.width);
    float inverse[QUERIES];
    for (int64_t index = 0; index < count; index++) {
      float* scores = space.scores + index * space.keys;
      Vector most = all(-__builtin_inff());
      for (int64_t place = 0; place < space.keys; place += LANES) {
        const Vector score = load(scores + place) * a.scale + load(space.mask + place);
        store(scores + place, score);
        most = score > most ? score : most;
      }
      float maximum = most[0];
      for (int lane = 1; lane < LANES; lane++) maximum = most[lane] > maximum ? most[lane] : maximum;
      Vector total{};
      for (int64_t place = 0; place < space.keys; place += LANES) {
        const Vector share = exp(load(scores + place) - maximum);
        store(scores + place, share * kept_share(a, row, head, first + index, place));
        total += share;
      }
      const float all_shares = sum(total);
      inverse[index] = 1.0f / all_shares;
      a.log_sums[(row * a.heads + head) * a.queries + first + index] = maximum + __builtin_logf(all_shares);
    }
    multiply({space.scores, space.keys, 1}, space.value, space.width, space.result, space.width, count, space.width,
             a.keys);
    for (int64_t index = 0; index < count; index++) {
      float* to = a.output + (row * a.queries + first + index) * features + head * a.width;
      for (int64_t place = 0; place < a.width; place++) {
        to[place] = space.result[index * space.width + place] * inverse[index];
      }
    }
  }
}

// `gradients.output` is the gradient of the output; the output itself is `a.output`.
void attend_back(const fused::Attention& a, const fused::AttentionGradients& gradients, int64_t row, int64_t head,
                 float* memory) {
  AttentionSpace space(a, memory);
  const int64_t features = a.heads * a.width;
  const float* key = head_of(a.key, a.key_strides, row, 0, head * a.width);
  const float* value = head_of(a.value, a.value_strides, row, 0, head * a.width);
  pack(key, a.key_strides[1], a.keys, a.width, space.width, space.key);
  pack_turned(key, a.key_strides[1], a.keys, a.width, space.keys, space.key_turned);
  pack_turned(value, a.value_strides[1], a.keys, a.width, space.keys, space.value_turned);
  pack_mask(a, row, space);
  std::memset(space.key_gradient, 0, space.keys * space.width * sizeof(float));
  std::memset(space.value_gradient, 0, space.keys * space.width * sizeof(float));
  for (int64_t first = 0; first < a.queries; first += QUERIES) {
    const int64_t count = a.queries - first < QUERIES ? a.queries - first : QUERIES;
    const int64_t start = (row * a.queries + first) * features + head * a.width;
    const float* query = head_of(a.query, a.query_strides, row, first, head * a.width);
    pack(query, a.query_strides[1], count, a.width, space.width, space.query);
    pack(gradients.output + start, features, count, a.width, space.width, space.gradient);
    multiply({space.query, space.width, 1}, space.key_turned, space.keys, space.scores, space.keys, count, space.keys,
             a.width);
    multiply({space.gradient, space.width, 1}, space.value_turned, space.keys, space.changes, space.keys, count,
             space.keys, a.width);
    for (int64_t index = 0; index < count; index++) {
      float* scores = space.scores + index * space.keys;
      float* changes = space.changes + index * space.keys;
      const float* output = a.output + start + index * features;
      float along = 0;
      for (int64_t place = 0; place < a.width; place++) {
        along += output[place] * space.gradient[index * space.width + place];
      }
      const float log_sum = a.log_sums[(row * a.heads + head) * a.queries + first + index];
      for (int64_t place = 0; place < space.keys; place += LANES) {
        const Vector share = exp(load(scores + place) * a.scale + load(space.mask + place) - log_sum);
        const Vector kept = kept_share(a, row, head, first + index, place);
        store(scores + place, share * kept);
        store(changes + place, share * (kept * load(changes + place) - along) * a.scale);
      }
    }
    multiply({space.changes, space.keys, 1}, space.key, space.width, space.result, space.width, count, space.width,
             a.keys);
    for (int64_t index = 0; index < count; index++) {
      std::memcpy(gradients.query + start + index * features, space.result + index * space.width,
                  a.width * sizeof(float));
    }
    multiply<true>({space.changes, 1, space.keys}, space.query, space.width, space.key_gradient, space.width, a.keys,
                   space.width, count);
    multiply<true>({space.scores, 1, space.keys}, space.gradient, space.width, space.value_gradient, space.width, a.keys,
                   space.width, count);
  }
  for (int64_t index = 0; index < a.keys; index++) {
    const int64_t to = (row * a.keys + index) * features + head * a.width;
    std::memcpy(gradients.key + to, space.key_gradient + index * space.width, a.width * sizeof(float));
    std::memcpy(gradients.value + to, space.value_gradient + index * space.width, a.width * sizeof(float));
  }
}

// Bits without a sign are ordered as magnitudes are, and those of NaN come last.
float largest(const float* values, int64_t count) {
  const auto magnitude = [](float value) {
    int32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits & 0x7fffffff;
  };
  Whole most{};
  int64_t place = 0;
  for (; place + LANES <= count; place += LANES) {
    const Whole bits = (Whole)load(values + place) & 0x7fffffff;
    most = bits > most ? bits : most;
  }
  int32_t found = 0;
  for (int lane = 0; lane < LANES; lane++) found = most[lane] > found ? most[lane] : found;
  for (; place < count; place++) found = magnitude(values[place]) > found ? magnitude(values[place]) : found;
  float value;
  std::memcpy(&value, &found, sizeof(value));
  return value;
}

}  // namespace
