// What tch has no binding for: memory of CUDA devices and the numerics of their matrix products.
#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>

extern "C" {

// Bytes that tensors hold now, the most that they held, and the device's free and whole memory. False where libtorch
// does not say.
bool delora_device_memory(int device, int64_t* bytes) {
  try {
    auto* allocator = c10::getDeviceAllocator(c10::kCUDA);
    const auto stats = allocator->getDeviceStats(device);
    const auto [free, whole] = allocator->getMemoryInfo(device);
    bytes[0] = stats.allocated_bytes[0].current;
    bytes[1] = stats.allocated_bytes[0].peak;
    bytes[2] = free;
    bytes[3] = whole;
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void delora_device_reset_peak(int device) {
  try {
    c10::getDeviceAllocator(c10::kCUDA)->resetPeakStats(device);
  } catch (const std::exception&) {
  }
}

void delora_device_allow_tf32(bool allow) {
  at::globalContext().setAllowTF32CuBLAS(allow);
  at::globalContext().setAllowTF32CuDNN(allow);
}

void delora_device_cudnn_benchmark(bool on) { at::globalContext().setBenchmarkCuDNN(on); }

// For tools/stand-in-cuda: what the following operators belong to.
void delora_device_region(const char* name) {
  static auto* region = reinterpret_cast<void (*)(const char*)>(dlsym(RTLD_DEFAULT, "stand_in_cuda_region"));
  if (region) region(name);
}
}
