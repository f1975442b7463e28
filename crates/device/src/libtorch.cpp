// What tch has no binding for: memory of CUDA devices, and stand-ins for them.
#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <malloc.h>

#include "stand_in.h"

extern "C" {

// Bytes that tensors hold now, the most that they held, those that are free for them, and all. False where libtorch does not
// say.
bool delora_device_memory(int device, int64_t* bytes) {
  try {
    auto* allocator = c10::getDeviceAllocator(c10::kCUDA);
    const auto stats = allocator->getDeviceStats(device);
    const auto [free, all] = allocator->getMemoryInfo(device);
    bytes[0] = stats.allocated_bytes[0].current;
    bytes[1] = stats.allocated_bytes[0].peak;
    // What the allocator keeps for tensors to come is free too.
    bytes[2] = free + stats.reserved_bytes[0].current - stats.allocated_bytes[0].current;
    bytes[3] = all;
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void delora_device_forget_peak(int device) {
  try {
    c10::getDeviceAllocator(c10::kCUDA)->resetPeakStats(device);
  } catch (const std::exception&) {
  }
}

// Whether products and convolutions of f32 are rounded to TF32, and whether cuDNN tries its algorithms.
void delora_device_set_math(bool tf32, bool tries_algorithms) {
  auto& context = at::globalContext();
  context.setAllowTF32CuBLAS(tf32);
  context.setAllowTF32CuDNN(tf32);
  context.setBenchmarkCuDNN(tries_algorithms);
}

// Gives freed memory back, which the allocators of the host and of the device keep for tensors to come.
void delora_device_give_back() {
  malloc_trim(0);
  try {
    c10::getDeviceAllocator(c10::kCUDA)->emptyCache();
  } catch (const std::exception&) {
  }
}

bool delora_device_is_stand_in() { return stand_in::exists(); }

void delora_device_become(const stand_in::Rates* rates) { stand_in::become(*rates); }

double delora_device_seconds() { return stand_in::seconds(); }

void delora_device_region(const char* name) { stand_in::region(name); }
}
