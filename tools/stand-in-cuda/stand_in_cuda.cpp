// A CUDA device for machines without one, for tests: preloaded before a CPU-only libtorch 2.11, it makes libtorch offer
// `cuda:0`, `cuda:1`, ..., each with a memory of its own that really is the host's.
//
// An operator on such a device is computed by its CPU kernel, on aliases of its tensors. What a program does with a device
// is seen all the same: tensors of two devices in one operator, mixed kinds where CUDA's kernels refuse them, each
// operator, each copy between host and device, each wait for the device, every byte that is held, and what becomes of the
// program when memory ends or a device breaks.
//
// What it cannot show: speed; limits and rounding of CUDA's own kernels, of cuDNN and cuBLAS; flash attention (attention
// takes its plain form); races between streams (there is one, and it is never behind); fragmentation and the rounding of
// sizes in CUDA's allocator. An operator is about a kernel launch, not exactly one. Memory that a CPU kernel takes while it
// computes is not counted, only what it gives back. Views cost nothing and are not counted.
//
// Settings, all from the environment:
//   STAND_IN_CUDA_DEVICES   number of devices, 1 without it
//   STAND_IN_CUDA_LIMIT     memory of each in bytes, without limit where absent
//   STAND_IN_CUDA_FAIL_AT   the allocation, counted from 1 over all devices, that finds no memory, whatever the limit
//   STAND_IN_CUDA_BREAK     `device:operators`: after so many operators each further one there is an error for good
//   STAND_IN_CUDA_POISON    1: fresh memory holds NaN (every byte 0xff), and so does memory that was given back
//   STAND_IN_CUDA_REPORT    a file for the counts, written when the process ends: region, what, times, bytes, by tabs
//
// `stand_in_cuda_region`, found by dlsym, names what the following counts belong to. Peaks are under the region `memory`.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace {
using at::Tensor;
using c10::Device;
using c10::DeviceIndex;

// ---- settings ---------------------------------------------------------------------------------------------------------

size_t number(const char* name, size_t otherwise) {
  const char* text = getenv(name);
  return text && *text ? strtoull(text, nullptr, 10) : otherwise;
}

struct Settings {
  size_t devices = number("STAND_IN_CUDA_DEVICES", 1);
  size_t limit = number("STAND_IN_CUDA_LIMIT", 0);
  size_t fail_at = number("STAND_IN_CUDA_FAIL_AT", 0);
  bool poison = number("STAND_IN_CUDA_POISON", 0) > 0;
  std::optional<std::pair<size_t, size_t>> breaks;  // device, operators
  Settings() {
    const char* text = getenv("STAND_IN_CUDA_BREAK");
    size_t device = 0, operators = 0;
    if (text && sscanf(text, "%zu:%zu", &device, &operators) == 2) breaks = {device, operators};
  }
};

const Settings& settings() {
  static const auto* all = new Settings();
  return *all;
}

// ---- counts -----------------------------------------------------------------------------------------------------------

struct Count {
  size_t times = 0, bytes = 0;
};

struct Book {
  std::mutex mutex;
  std::string region = "start";
  std::map<std::pair<std::string, std::string>, Count> counts;
  std::map<std::string, size_t> peaks;  // by region, of the device that holds most
  size_t allocations = 0;
  std::vector<c10::CachingDeviceAllocator::DeviceStats> memory;
  std::vector<size_t> operators;  // of each device
  Book() : memory(settings().devices), operators(settings().devices, 0) {}
};

Book& book() {  // never destroyed: tensors outlive statics
  static auto* one = new Book();
  return *one;
}

void note(const std::string& what, size_t bytes = 0) {
  std::lock_guard<std::mutex> locked(book().mutex);
  auto& count = book().counts[{book().region, what}];
  count.times++;
  count.bytes += bytes;
}

struct Report {
  ~Report() {
    const char* path = getenv("STAND_IN_CUDA_REPORT");
    if (!path || (book().counts.empty() && book().allocations == 0)) return;
    FILE* file = fopen(path, "w");
    if (!file) return;
    for (size_t device = 0; device < book().memory.size(); device++) {
      const auto& stats = book().memory[device];
      fprintf(file, "memory\tpeak of cuda:%zu\t1\t%lld\n", device, (long long)stats.allocated_bytes[0].peak);
      fprintf(file, "memory\tleft of cuda:%zu\t1\t%lld\n", device, (long long)stats.allocated_bytes[0].current);
      fprintf(file, "memory\tends of cuda:%zu\t%lld\t0\n", device, (long long)stats.num_ooms);
    }
    for (const auto& [region, peak] : book().peaks) fprintf(file, "memory\tpeak in %s\t1\t%zu\n", region.c_str(), peak);
    fprintf(file, "memory\tallocations\t%zu\t0\n", book().allocations);
    for (const auto& [key, count] : book().counts)
      fprintf(file, "%s\t%s\t%zu\t%zu\n", key.first.c_str(), key.second.c_str(), count.times, count.bytes);
    fclose(file);
  }
} report;

// ---- memory -----------------------------------------------------------------------------------------------------------

void take(DeviceIndex device, size_t bytes) {
  std::lock_guard<std::mutex> locked(book().mutex);
  auto& stats = book().memory.at(device);
  const size_t held = stats.allocated_bytes[0].current;
  const bool ordered = bytes > 0 && ++book().allocations == settings().fail_at;
  if (ordered || (settings().limit && held + bytes > settings().limit)) {
    stats.num_ooms++;
    TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate ", bytes, " bytes. cuda:", (int)device,
                     " (a stand-in) holds ", held, ordered ? ", and this allocation is to fail" : "");
  }
  stats.allocated_bytes[0].increase(bytes);
  stats.reserved_bytes[0].increase(bytes);
  stats.allocation[0].increase(1);
  auto& peak = book().peaks[book().region];
  peak = std::max(peak, held + bytes);
}

void give_back(DeviceIndex device, size_t bytes) {
  std::lock_guard<std::mutex> locked(book().mutex);
  auto& stats = book().memory.at(device);
  stats.allocated_bytes[0].decrease(bytes);
  stats.reserved_bytes[0].decrease(bytes);
  stats.allocation[0].decrease(1);
}

thread_local DeviceIndex current = 0;

struct Block {
  void* start;
  size_t bytes;
  DeviceIndex device;
};

void release(void* context) {
  auto* block = static_cast<Block*>(context);
  if (settings().poison && block->start) memset(block->start, 0xff, block->bytes);
  give_back(block->device, block->bytes);
  free(block->start);
  delete block;
}

struct StandInAllocator final : c10::DeviceAllocator {
  c10::DataPtr allocate(size_t bytes) override {
    take(current, bytes);
    void* start = nullptr;
    if (bytes) TORCH_CHECK(posix_memalign(&start, 64, bytes) == 0, "the host has no memory for a stand-in's tensor");
    if (settings().poison && start) memset(start, 0xff, bytes);
    return {start, new Block{start, bytes, current}, &release, Device(c10::kCUDA, current)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {}
  void recordStream(const c10::DataPtr&, c10::Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(DeviceIndex device) override {
    std::lock_guard<std::mutex> locked(book().mutex);
    return book().memory.at(device);
  }
  void resetAccumulatedStats(DeviceIndex) override {}
  void resetPeakStats(DeviceIndex device) override {
    std::lock_guard<std::mutex> locked(book().mutex);
    book().memory.at(device).allocated_bytes[0].reset_peak();
  }
  std::pair<size_t, size_t> getMemoryInfo(DeviceIndex device) override {
    std::lock_guard<std::mutex> locked(book().mutex);
    const size_t held = book().memory.at(device).allocated_bytes[0].current;
    const size_t all = settings().limit ? settings().limit : size_t(1) << 40;
    return {all - std::min(all, held), all};
  }
} allocator;

const bool allocator_is_set = (c10::SetAllocator(c10::kCUDA, &allocator, 1), true);

// ---- the device's guard -----------------------------------------------------------------------------------------------

c10::Stream only_stream(Device device) { return c10::Stream(c10::Stream::DEFAULT, device); }

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::kCUDA; }
  Device exchangeDevice(Device device) const override {
    const auto before = current;
    setDevice(device);
    return Device(c10::kCUDA, before);
  }
  Device getDevice() const override { return Device(c10::kCUDA, current); }
  void setDevice(Device device) const override {
    TORCH_CHECK(device.index() < (int)settings().devices, "CUDA error: invalid device ordinal ", (int)device.index());
    current = device.index() < 0 ? current : device.index();
  }
  void uncheckedSetDevice(Device device) const noexcept override { current = device.index() < 0 ? current : device.index(); }
  c10::Stream getStream(Device device) const override { return only_stream(device); }
  c10::Stream getDefaultStream(Device device) const override { return only_stream(device); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return only_stream(stream.device()); }
  DeviceIndex deviceCount() const noexcept override { return settings().devices; }
  void record(void**, const c10::Stream&, const DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override { note("wait for the stream"); }
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(const DeviceIndex) const override { note("wait for the device"); }
};
C10_REGISTER_GUARD_IMPL(CUDA, Guard)

// ---- the same memory on both sides ------------------------------------------------------------------------------------

struct Lent {
  c10::Storage storage;
  size_t bytes;
  DeviceIndex device;
};

void end_of_lent(void* context) {
  auto* lent = static_cast<Lent*>(context);
  give_back(lent->device, lent->bytes);
  delete lent;
}

// What a CPU kernel made, as memory of the device.
c10::Storage taken_over(const c10::Storage& cpu, DeviceIndex device) {
  const size_t bytes = cpu.nbytes();
  take(device, bytes);
  auto* lent = new Lent{cpu, bytes, device};
  c10::DataPtr pointer(const_cast<void*>(cpu.data()), lent, &end_of_lent, Device(c10::kCUDA, device));
  return c10::Storage(c10::Storage::use_byte_size_t(), bytes, std::move(pointer), &allocator, true);
}

Tensor over(c10::Storage storage, c10::DispatchKey key, const Tensor& like) {
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), like.dtype());
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  return tensor;
}

// The device's tensor as one of the CPU, on the same memory.
Tensor cpu_alias(const Tensor& tensor) {
  auto* held = new c10::Storage(tensor.storage());
  auto end = [](void* context) { delete static_cast<c10::Storage*>(context); };
  c10::DataPtr pointer(const_cast<void*>(tensor.storage().data()), held, end, Device(c10::kCPU));
  c10::Storage storage(c10::Storage::use_byte_size_t(), tensor.storage().nbytes(), std::move(pointer), c10::GetCPUAllocator(), true);
  auto made = over(std::move(storage), c10::DispatchKey::CPU, tensor);
  if (tensor.unsafeGetTensorImpl()->is_wrapped_number()) made.unsafeGetTensorImpl()->set_wrapped_number(true);
  return made;
}

// ---- operators --------------------------------------------------------------------------------------------------------

// Operators whose CUDA kernels refuse floating tensors of two kinds.
bool needs_one_kind(const std::string& name) {
  static const std::set<std::string> names = {
      "aten::mm",          "aten::bmm",      "aten::addmm",       "aten::addmm_",       "aten::baddbmm",
      "aten::baddbmm_",    "aten::mv",       "aten::dot",         "aten::_convolution", "aten::convolution_overrideable",
      "aten::thnn_conv2d", "aten::_softmax", "aten::linalg_inv_ex", "aten::index_copy", "aten::index_copy.out",
      "aten::gather",      "aten::native_layer_norm", "aten::native_group_norm", "aten::_slow_conv2d_forward"};
  return names.count(name) > 0;
}

// Operators whose result has a size that only the device knows.
bool waits(const std::string& name) {
  static const std::set<std::string> names = {"aten::nonzero", "aten::masked_select", "aten::_unique2",         "aten::unique_dim",
                                              "aten::bincount", "aten::equal",        "aten::repeat_interleave"};
  return names.count(name) > 0;
}

// Whether the result is another look at an argument's memory: no kernel runs.
bool is_view(const c10::FunctionSchema& schema) {
  const auto& returns = schema.returns();
  return !returns.empty() && returns[0].alias_info() && !returns[0].alias_info()->isWrite();
}

void begin(const std::string& name, DeviceIndex device) {
  if (settings().breaks && settings().breaks->first == (size_t)device) {
    std::lock_guard<std::mutex> locked(book().mutex);
    TORCH_CHECK(++book().operators.at(device) <= settings().breaks->second,
                "CUDA error: an illegal memory access was encountered on cuda:", (int)device, " (a stand-in that was told to break)");
  }
  note("operator " + name);
}

// One operator, taken apart: its tensors as aliases, and the way back.
struct Call {
  std::string name;
  std::vector<std::pair<Tensor, Tensor>> aliases;  // the device's tensor, its alias
  std::string on_cpu;                              // shapes of tensors with values that are on the CPU
  std::set<c10::ScalarType> kinds;
  std::set<DeviceIndex> devices;

  Tensor lend(const Tensor& tensor) {
    if (!tensor.defined()) return tensor;
    if (at::isFloatingType(tensor.scalar_type()) && tensor.dim() > 0) kinds.insert(tensor.scalar_type());
    if (!tensor.is_cuda()) {
      if (tensor.dim() > 0) on_cpu += c10::str(" ", tensor.sizes());
      return tensor;
    }
    devices.insert(tensor.device().index());
    aliases.emplace_back(tensor, cpu_alias(tensor));
    return aliases.back().second;
  }

  c10::IValue lend_value(const c10::IValue& value) {
    if (value.isTensor()) return lend(value.toTensor());
    if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& tensor : value.toTensorVector()) list.push_back(lend(tensor));
      return list;
    }
    if (value.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> list;
      for (const auto& tensor : value.toOptionalTensorVector())
        list.push_back(tensor ? std::optional<Tensor>(lend(*tensor)) : std::nullopt);
      return list;
    }
    if (value.isDevice() && value.toDevice().is_cuda()) {
      const auto device = value.toDevice();
      devices.insert(device.has_index() ? device.index() : current);
      return Device(c10::kCPU);
    }
    return value;
  }

  // Faults that a real device would answer with an error.
  void check() const {
    const bool may_index = name.rfind("aten::index", 0) == 0 || name == "aten::_index_put_impl_";
    if (!on_cpu.empty()) {
      note("fault: " + name + " gets tensors of the CPU and the device:" + on_cpu);
      TORCH_CHECK(may_index, "Expected all tensors to be on the same device, but ", name, " got one on the CPU:", on_cpu);
    }
    if (devices.size() > 1) {
      note("fault: " + name + " gets tensors of two devices");
      TORCH_CHECK(false, "Expected all tensors to be on the same device, but ", name, " got cuda:0 and another");
    }
    if (kinds.size() > 1 && needs_one_kind(name)) {
      note("fault: " + name + " gets two kinds");
      TORCH_CHECK(false, "expected scalar types to be the same in ", name);
    }
  }

  DeviceIndex device() const { return devices.empty() ? current : *devices.begin(); }

  Tensor back(const Tensor& tensor) const {
    if (!tensor.defined()) return tensor;
    for (const auto& [own, lent] : aliases) {
      if (tensor.unsafeGetTensorImpl() == lent.unsafeGetTensorImpl()) {  // written in place
        if (lent.storage().data() != own.storage().data())
          own.unsafeGetTensorImpl()->set_storage_keep_dtype(taken_over(lent.storage(), device()));
        if (lent.sizes() != own.sizes() || lent.strides() != own.strides())
          own.unsafeGetTensorImpl()->set_sizes_and_strides(lent.sizes(), lent.strides(), lent.storage_offset());
        return own;
      }
      if (tensor.storage().unsafeGetStorageImpl() == lent.storage().unsafeGetStorageImpl())  // a view
        return over(own.storage(), c10::DispatchKey::CUDA, tensor);
    }
    return tensor.is_cpu() ? over(taken_over(tensor.storage(), device()), c10::DispatchKey::CUDA, tensor) : tensor;
  }
};

void compute(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  Call call{schema.name(), {}, {}, {}, {}};
  const size_t first = stack->size() - schema.arguments().size();
  for (size_t i = first; i < stack->size(); i++) (*stack)[i] = call.lend_value((*stack)[i]);
  call.check();
  if (waits(call.name)) note("wait in " + call.name);
  if (!is_view(schema)) begin(call.name, call.device());
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  for (size_t i = stack->size() - schema.returns().size(); i < stack->size(); i++) {
    auto& value = (*stack)[i];
    if (value.isTensor()) {
      value = call.back(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& tensor : value.toTensorVector()) list.push_back(call.back(tensor));
      value = list;
    }
  }
}

// ---- operators that a device has of its own -----------------------------------------------------------------------------

struct OnDevice {  // what is made meanwhile is of this device
  DeviceIndex before = current;
  explicit OnDevice(std::optional<Device> device) {
    if (device && device->has_index()) current = device->index();
  }
  ~OnDevice() { current = before; }
};

const c10::DispatchKeySet KEYS(c10::DispatchKey::CUDA);

Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> kind, std::optional<at::Layout>, std::optional<Device> device,
             std::optional<bool>, std::optional<at::MemoryFormat> format) {
  OnDevice here(device);
  return at::detail::empty_generic(size, &allocator, KEYS, c10::dtype_or_default(kind), format);
}

Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> kind, std::optional<at::Layout>,
                     std::optional<Device> device, std::optional<bool>) {
  OnDevice here(device);
  return at::detail::empty_strided_generic(size, stride, &allocator, KEYS, c10::dtype_or_default(kind));
}

Tensor& copy_(Tensor& self, const Tensor& source, bool non_blocking) {
  at::AutoDispatchBelowADInplaceOrView guard;
  const std::string blocking = non_blocking ? " (not blocking)" : "";
  if (self.is_cuda() && !source.is_cuda()) {
    note("upload" + blocking, self.nbytes());
  } else if (source.is_cuda() && !self.is_cuda()) {
    note("download" + blocking, self.nbytes());
  } else if (self.device() != source.device()) {
    note("copy between devices", self.nbytes());
  } else {
    begin(self.scalar_type() == source.scalar_type() ? "aten::copy_" : "aten::copy_ (cast)", self.device().index());
  }
  Tensor to = self.is_cuda() ? cpu_alias(self) : self;
  to.copy_(source.is_cuda() ? cpu_alias(source) : source);
  return self;
}

at::Scalar local_scalar_dense(const Tensor& self) {
  note("wait for a value");
  return cpu_alias(self).item();
}

const Tensor& resize_(const Tensor& self, at::IntArrayRef size, std::optional<at::MemoryFormat>) {
  const size_t needed = c10::multiply_integers(size) * self.element_size();
  if (self.storage().nbytes() < needed) {
    auto fresh = empty(size, self.scalar_type(), {}, self.device(), {}, {});
    self.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
    self.unsafeGetTensorImpl()->set_storage_offset(0);
  }
  self.unsafeGetTensorImpl()->set_sizes_contiguous(size);
  return self;
}
}  // namespace

extern "C" __attribute__((visibility("default"))) void stand_in_cuda_region(const char* name) {
  std::lock_guard<std::mutex> locked(book().mutex);
  book().region = name;
}

TORCH_LIBRARY_IMPL(_, CUDA, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&compute>()); }
TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("empty.memory_format", TORCH_FN(empty));
  library.impl("empty_strided", TORCH_FN(empty_strided));
  library.impl("copy_", TORCH_FN(copy_));
  library.impl("_local_scalar_dense", TORCH_FN(local_scalar_dense));
  library.impl("resize_", TORCH_FN(resize_));
}

namespace at {
struct CUDAHooks final : CUDAHooksInterface {
  explicit CUDAHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return settings().devices; }
  int getNumGPUs() const override { return settings().devices; }
  DeviceIndex current_device() const override { return current; }
  DeviceIndex getCurrentDevice() const override { return current; }
  void setCurrentDevice(DeviceIndex device) const override { current = device; }
  DeviceIndex exchangeDevice(DeviceIndex device) const override {
    const auto before = current;
    current = device < 0 ? current : device;
    return before;
  }
  DeviceIndex maybeExchangeDevice(DeviceIndex device) const override { return exchangeDevice(device); }
  Allocator* getCUDADeviceAllocator() const override { return &allocator; }
  void deviceSynchronize(DeviceIndex) const override { note("wait for the device"); }
  const Generator& getDefaultGenerator(DeviceIndex) const override { return detail::getDefaultCPUGenerator(); }
};
REGISTER_CUDA_HOOKS(CUDAHooks)
}  // namespace at
