// CUDA devices for machines without one, see stand_in.cpp.
#pragma once
#include <cstdint>

namespace stand_in {
// What a GPU has, for a device of shapes.
struct Rates {
  uint64_t memory;          // bytes
  double half_operations;   // multiplications and additions of products in bf16, per second
  double tf32_operations;   // in f32 that is rounded to TF32
  double float_operations;  // and in f32 as it is
  double bytes;             // of memory read or written, per second
  double start;             // seconds from one operator to the next where they are small
};

// Whether libtorch was told of stand-ins.
bool exists();

// Makes `cuda:0` a device of shapes. Before libtorch is asked for a CUDA device for the first time.
void become(Rates rates);

// Seconds that the operators until now would have taken.
double seconds();

// What the following counts belong to.
void region(const char* name);
}  // namespace stand_in
