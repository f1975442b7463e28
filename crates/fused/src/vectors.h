// Vectors of the instruction set, and products of small matrices, for kernels.
#pragma once

#include <cstdint>
#include <cstring>

namespace {

#ifdef __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif
typedef float Vector __attribute__((vector_size(LANES * 4)));
typedef int32_t Whole __attribute__((vector_size(LANES * 4)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));
typedef float Unaligned __attribute__((vector_size(LANES * 4), aligned(4)));

inline Vector load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }
inline void store(float* to, Vector values) { *reinterpret_cast<Unaligned*>(to) = values; }
inline Vector all(float value) { return value - Vector{}; }
inline int64_t rounded_up(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

// `count` bytes as numbers, with zeros behind them.
inline Vector load_bytes(const uint8_t* from, int64_t count) {
  Bytes bytes{};
  if (count >= LANES) {
    std::memcpy(&bytes, from, LANES);
  } else {
    std::memcpy(&bytes, from, count);
  }
  return __builtin_convertvector(bytes, Vector);
}

inline float sum(Vector values) {
  float total = 0;
  for (int lane = 0; lane < LANES; lane++) total += values[lane];
  return total;
}

// e to the power of values, to 2 units in the last place; 0 below -87.
inline Vector exp(Vector values) {
  const Vector low = all(-87.0f), magic = all(12582912.0f);  // 1.5 · 2²³, whose sum with a number rounds it
  Vector x = values < low ? low : values;
  x = x > all(88.0f) ? all(88.0f) : x;
  const Vector shifted = x * 1.44269504f + magic, count = shifted - magic;
  const Vector rest = x - count * 0.693359375f + count * 2.12194440e-4f;  // log 2 in two parts
  Vector power = rest * 1.9875691500e-4f + 1.3981999507e-3f;
  power = power * rest + 8.3334519073e-3f;
  power = power * rest + 4.1665795894e-2f;
  power = power * rest + 1.6666665459e-1f;
  power = power * rest + 5.0000001201e-1f;
  power = power * rest * rest + rest + 1.0f;
  const Whole scale = (__builtin_convertvector(count, Whole) + 127) << 23;
  const Vector result = power * (Vector)scale;
  return values < low ? Vector{} : result;
}

inline Vector sigmoid(Vector values) { return 1.0f / (1.0f + exp(-values)); }

// The error function to 2 units in the last place (N. Juffa's minimax polynomials).
inline Vector erf(Vector values) {
  const Vector size = values < 0.0f ? -values : values, square = values * values;
  Vector tail = size * -1.72853470e-5f + 3.83197126e-4f;
  tail = tail * square + (size * -3.88396438e-3f + 2.42546219e-2f);
  tail = tail * size - 1.06777877e-1f;
  tail = tail * size - 6.34846687e-1f;
  tail = tail * size - 1.28717512e-1f;
  tail = 1.0f - exp(tail * size - size);
  tail = values < 0.0f ? -tail : tail;
  Vector middle = square * -5.96761703e-4f + 4.99119423e-3f;
  middle = middle * square - 2.67681349e-2f;
  middle = middle * square + 1.12819925e-1f;
  middle = middle * square - 3.76125336e-1f;
  middle = middle * square + 1.28379166e-1f;
  middle = middle * values + values;
  return size > 0.927734375f ? tail : middle;
}

// How the left factor of a product lies: from row to row, and along a row.
struct Left {
  const float* values;
  int64_t row, step;
};

// output [ROWS, COLUMNS vectors] (+)= left · right, over `depth`.
template <int ROWS, int COLUMNS, bool ADDS>
inline __attribute__((always_inline)) void multiply_block(Left left, const float* right, int64_t right_row,
                                                          float* output, int64_t output_row, int64_t depth) {
  Vector sums[ROWS][COLUMNS];
  for (int row = 0; row < ROWS; row++) {
    for (int column = 0; column < COLUMNS; column++) {
      sums[row][column] = ADDS ? load(output + row * output_row + LANES * column) : Vector{};
    }
  }
  for (int64_t step = 0; step < depth; step++) {
    Vector factors[COLUMNS];
    for (int column = 0; column < COLUMNS; column++) factors[column] = load(right + step * right_row + LANES * column);
    for (int row = 0; row < ROWS; row++) {
      const float value = left.values[row * left.row + step * left.step];
      for (int column = 0; column < COLUMNS; column++) sums[row][column] += value * factors[column];
    }
  }
  for (int row = 0; row < ROWS; row++) {
    for (int column = 0; column < COLUMNS; column++) store(output + row * output_row + LANES * column, sums[row][column]);
  }
}

template <int COLUMNS, bool ADDS>
void multiply_columns(Left left, const float* right, int64_t right_row, float* output, int64_t output_row, int64_t rows,
                      int64_t depth) {
  // As many sums as there are registers for them.
  constexpr int ROWS = LANES == 16 ? (COLUMNS == 4 ? 6 : COLUMNS == 3 ? 8 : COLUMNS == 2 ? 12 : 14)
                                   : (COLUMNS == 2 ? 6 : 10);
  int64_t row = 0;
  for (; row + ROWS <= rows; row += ROWS) {
    multiply_block<ROWS, COLUMNS, ADDS>({left.values + row * left.row, left.row, left.step}, right, right_row,
                                        output + row * output_row, output_row, depth);
  }
  for (; row + 4 <= rows; row += 4) {
    multiply_block<4, COLUMNS, ADDS>({left.values + row * left.row, left.row, left.step}, right, right_row,
                                     output + row * output_row, output_row, depth);
  }
  for (; row < rows; row++) {
    multiply_block<1, COLUMNS, ADDS>({left.values + row * left.row, left.row, left.step}, right, right_row,
                                     output + row * output_row, output_row, depth);
  }
}

// output [rows, columns] (+)= left [rows, depth] · right [depth, columns]; columns are a multiple of LANES. An element's sum
// has the same order in any product, so that rows do not depend on how many there are.
template <bool ADDS = false>
void multiply(Left left, const float* right, int64_t right_row, float* output, int64_t output_row, int64_t rows,
              int64_t columns, int64_t depth) {
  int64_t vectors = columns / LANES;
  while (vectors > 0) {
    int64_t taken = 1;
    if (LANES == 16) {
      // Threes rather than fours that leave one or two.
      taken = vectors == 3 || vectors == 5 || vectors == 6 || vectors == 9 ? 3 : vectors < 4 ? vectors : 4;
    } else {
      taken = vectors < 2 ? vectors : 2;
    }
    switch (taken) {
#ifdef __AVX512F__
      case 4:
        multiply_columns<4, ADDS>(left, right, right_row, output, output_row, rows, depth);
        break;
      case 3:
        multiply_columns<3, ADDS>(left, right, right_row, output, output_row, rows, depth);
        break;
#endif
      case 2:
        multiply_columns<2, ADDS>(left, right, right_row, output, output_row, rows, depth);
        break;
      default:
        multiply_columns<1, ADDS>(left, right, right_row, output, output_row, rows, depth);
    }
    right += taken * LANES;
    output += taken * LANES;
    vectors -= taken;
  }
}

// Rows of `width` values each, with zeros behind them.
void pack(const float* from, int64_t row, int64_t rows, int64_t width, int64_t padded, float* to) {
  for (int64_t index = 0; index < rows; index++) {
    std::memcpy(to + index * padded, from + index * row, width * sizeof(float));
    std::memset(to + index * padded + width, 0, (padded - width) * sizeof(float));
  }
}

// The same transposed, [width, padded].
void pack_turned(const float* from, int64_t row, int64_t rows, int64_t width, int64_t padded, float* to) {
  for (int64_t place = 0; place < width; place++) {
    for (int64_t index = 0; index < rows; index++) to[place * padded + index] = from[index * row + place];
    std::memset(to + place * padded + rows, 0, (padded - rows) * sizeof(float));
  }
}

}  // namespace
