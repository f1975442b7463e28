// What tch has no binding for: memory of CUDA devices.
#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>

extern "C" {

// Bytes that tensors hold now, and the most that they held. False where libtorch does not say.
bool delora_device_memory(int device, int64_t* bytes) {
  try {
    auto* allocator = c10::getDeviceAllocator(c10::kCUDA);
    const auto stats = allocator->getDeviceStats(device);
    bytes[0] = stats.allocated_bytes[0].current;
    bytes[1] = stats.allocated_bytes[0].peak;
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

// For tools/stand-in-cuda: what the following operators belong to.
void delora_device_region(const char* name) {
  static auto* region = reinterpret_cast<void (*)(const char*)>(dlsym(RTLD_DEFAULT, "stand_in_cuda_region"));
  if (region) region(name);
}
}
