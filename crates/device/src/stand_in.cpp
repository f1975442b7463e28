// A CUDA device for machines without one: it makes a CPU-only libtorch 2.11 offer `cuda:0`, `cuda:1`, ..., each with a memory
// of its own that really is the host's.
//
// It has two uses. In tests an operator on such a device is computed by its CPU kernel, on aliases of its tensors. What a
// program does with a device is seen all the same: tensors of two devices in one operator, mixed kinds where CUDA's kernels
// refuse them, each operator, each copy between host and device, each wait for the device, every byte that is held, and
// what becomes of the program when memory ends or a device breaks. And as a device of shapes it computes nothing: tensors
// have sizes and take memory that nobody touches, values are zeros, and a clock adds up what each operator would take on
// a GPU of known rates. That is how a plan is made for a GPU that is not at hand.
//
// What it cannot show: limits and rounding of CUDA's own kernels, of cuDNN and cuBLAS, and the workspaces that they take;
// races between streams (there is one, and it is never behind); fragmentation and the rounding of sizes in CUDA's allocator.
// An operator is about a kernel launch, not exactly one. Memory that a CPU kernel takes while it computes is not counted, only
// what it gives back. Views cost nothing and are not counted. The clock knows peaks of data sheets, not kernels.
//
// Settings of tests, all from the environment:
//   STAND_IN_CUDA_DEVICES   number of devices; without it there is none
//   STAND_IN_CUDA_LIMIT     memory of each in bytes, without limit where absent
//   STAND_IN_CUDA_FAIL_AT   the allocation, counted from 1 over all devices, that finds no memory, whatever the limit
//   STAND_IN_CUDA_BREAK     `device:operators`: after so many operators each further one there is an error for good
//   STAND_IN_CUDA_POISON    1: fresh memory holds NaN (every byte 0xff), and so does memory that was given back
//   STAND_IN_CUDA_SHAPES    1: devices of shapes, for networks that a machine has no memory for
//   STAND_IN_CUDA_REPORT    a file for the counts, written when the process ends: region, what, times, bytes, by tabs
//
// `stand_in::region` names what the following counts belong to. Peaks are under the region `memory`.
#include "stand_in.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/EmptyTensor.h>
#include <ATen/ExpandUtils.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
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
  size_t devices = number("STAND_IN_CUDA_DEVICES", 0);
  size_t limit = number("STAND_IN_CUDA_LIMIT", 0);
  size_t fail_at = number("STAND_IN_CUDA_FAIL_AT", 0);
  bool poison = number("STAND_IN_CUDA_POISON", 0) > 0;
  std::optional<std::pair<size_t, size_t>> breaks;  // device, operators
  std::optional<stand_in::Rates> rates;             // of a device of shapes
  Settings() {
    if (number("STAND_IN_CUDA_SHAPES", 0) > 0) rates = stand_in::Rates{0, 1, 1, 1, 1, 1};
    const char* text = getenv("STAND_IN_CUDA_BREAK");
    size_t device = 0, operators = 0;
    if (text && sscanf(text, "%zu:%zu", &device, &operators) == 2) breaks = {device, operators};
  }
};

Settings& settings() {
  static auto* all = new Settings();
  return *all;
}

bool only_shapes() { return settings().rates.has_value(); }

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
  double seconds = 0;  // that the operators would have taken
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

constexpr size_t LARGE = 1 << 20;

// Memory of the host. Large blocks of a device of shapes are addresses that nobody touches, beyond what the host has.
void* host_memory(size_t bytes) {
  if (bytes == 0) return nullptr;
  void* start = nullptr;
  if (!only_shapes()) {
    if (posix_memalign(&start, 64, bytes) != 0) start = nullptr;
  } else if (bytes < LARGE) {
    start = calloc(1, bytes);
  } else {
    start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) start = nullptr;
  }
  TORCH_CHECK(start, "the host has no memory for a stand-in's tensor of ", bytes, " bytes");
  return start;
}

void release(void* context) {
  auto* block = static_cast<Block*>(context);
  if (settings().poison && block->start) memset(block->start, 0xff, block->bytes);
  give_back(block->device, block->bytes);
  if (only_shapes() && block->bytes >= LARGE) {
    munmap(block->start, block->bytes);
  } else {
    free(block->start);
  }
  delete block;
}

struct StandInAllocator final : c10::DeviceAllocator {
  c10::DataPtr allocate(size_t bytes) override {
    take(current, bytes);
    void* start = host_memory(bytes);
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

// The device's tensor as one without values.
Tensor shape_of(const Tensor& tensor) {
  c10::Storage storage(c10::Storage::use_byte_size_t(), tensor.storage().nbytes(), c10::DataPtr(nullptr, Device(c10::kMeta)),
                       c10::GetAllocator(c10::kMeta), true);
  return over(std::move(storage), c10::DispatchKey::Meta, tensor);
}

// The device's tensor as one of the CPU, on the same memory.
Tensor cpu_alias(const Tensor& tensor) {
  auto* held = new c10::Storage(tensor.storage());
  auto end = [](void* context) { delete static_cast<c10::Storage*>(context); };
  c10::DataPtr pointer(const_cast<void*>(tensor.storage().data()), held, end, Device(c10::kCPU));
  c10::Storage storage(c10::Storage::use_byte_size_t(), tensor.storage().nbytes(), std::move(pointer), c10::GetCPUAllocator(), true);
  auto made = over(std::move(storage), c10::DispatchKey::CPU, tensor);
  return made;
}

// The device's tensor as a kernel takes it.
Tensor kernel_view(const Tensor& tensor) {
  auto made = only_shapes() ? shape_of(tensor) : cpu_alias(tensor);
  if (tensor.unsafeGetTensorImpl()->is_wrapped_number()) made.unsafeGetTensorImpl()->set_wrapped_number(true);
  return made;
}

// A tensor of the device with the sizes of one without values.
Tensor in_shape_of(const Tensor& shape, DeviceIndex device) {
  const auto before = current;
  current = device;
  auto data = allocator.allocate(shape.storage().nbytes());
  current = before;
  c10::Storage storage(c10::Storage::use_byte_size_t(), shape.storage().nbytes(), std::move(data), &allocator, true);
  return over(std::move(storage), c10::DispatchKey::CUDA, shape);
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
    aliases.emplace_back(tensor, kernel_view(tensor));
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
      return Device(only_shapes() ? c10::kMeta : c10::kCPU);
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
        if (only_shapes()) {
          if (lent.storage().nbytes() > own.storage().nbytes())
            own.unsafeGetTensorImpl()->set_storage_keep_dtype(in_shape_of(lent, device()).storage());
        } else if (lent.storage().data() != own.storage().data())
          own.unsafeGetTensorImpl()->set_storage_keep_dtype(taken_over(lent.storage(), device()));
        if (lent.sizes() != own.sizes() || lent.strides() != own.strides())
          own.unsafeGetTensorImpl()->set_sizes_and_strides(lent.sizes(), lent.strides(), lent.storage_offset());
        return own;
      }
      if (tensor.storage().unsafeGetStorageImpl() == lent.storage().unsafeGetStorageImpl())  // a view
        return over(own.storage(), c10::DispatchKey::CUDA, tensor);
    }
    if (tensor.is_meta()) return in_shape_of(tensor, device());
    return tensor.is_cpu() ? over(taken_over(tensor.storage(), device()), c10::DispatchKey::CUDA, tensor) : tensor;
  }

  c10::IValue back_value(const c10::IValue& value) const {
    if (value.isTensor()) return back(value.toTensor());
    if (!value.isTensorList()) return value;
    c10::List<Tensor> list;
    for (const Tensor& tensor : value.toTensorVector()) list.push_back(back(tensor));
    return list;
  }
};

// ---- the clock of a device of shapes ----------------------------------------------------------------------------------

double bytes_of(const Tensor& tensor) {
  if (!tensor.defined()) return 0;
  return std::min<double>(double(tensor.numel()) * tensor.element_size(), tensor.storage().nbytes());
}

// Adds what an operator would take: the longest of starting it, computing and moving its bytes.
void pass_time(double operations, double bytes, at::ScalarType kind) {
  if (!only_shapes()) return;
  const auto& rates = *settings().rates;
  const double single = at::globalContext().allowTF32CuBLAS() ? rates.tf32_operations : rates.float_operations;
  const double rate = kind == at::kBFloat16 || kind == at::kHalf ? rates.half_operations : single;
  std::lock_guard<std::mutex> locked(book().mutex);
  book().seconds += std::max({rates.start, operations / rate, bytes / rates.bytes});
}

// Multiplications and additions of a product of matrices.
double operations_of(const std::string& name, const std::vector<Tensor>& given, const Tensor& made) {
  static const std::map<std::string, size_t> left = {{"aten::mm", 0},   {"aten::addmm", 1},   {"aten::bmm", 0}, {"aten::mv", 0},
                                                     {"aten::dot", 0},  {"aten::baddbmm", 1}, {"aten::addmv", 1},
                                                     {"aten::addmm_", 1}, {"aten::baddbmm_", 1}};
  const auto found = left.find(name);
  if (found == left.end() || given.size() <= found->second) return 0;
  return 2.0 * made.numel() * given[found->second].size(-1);
}

// ---- any operator -----------------------------------------------------------------------------------------------------

using Values = std::vector<c10::IValue>;

// Gradients to the input, weight and bias of a norm, whose weight is an argument of this number.
Values norm_gradients(const Values& given, size_t weight) {
  const auto mask = given.back().toBoolList();
  const auto part = [&](size_t place, const c10::IValue& of) {
    return mask[place] && !of.isNone() ? at::empty_like(of.toTensor()) : Tensor();
  };
  return {part(0, given[1]), part(1, given[weight]), part(2, given[weight])};
}

// What operators give that libtorch has no kernel for without values: tensors of their sizes.
const std::map<std::string, Values (*)(const Values&)>& shape_rules() {
  static const auto* rules = new std::map<std::string, Values (*)(const Values&)>{
      {"aten::trace", [](const Values& given) -> Values { return {at::empty({}, given[0].toTensor().options())}; }},
      {"aten::where",
       [](const Values& given) -> Values {
         const auto sizes = at::infer_size(given[1].toTensor().sizes(), given[2].toTensor().sizes());
         const auto all = at::infer_size(given[0].toTensor().sizes(), sizes);
         return {at::empty(all, given[1].toTensor().options())};
       }},
      {"aten::index_select",
       [](const Values& given) -> Values {
         const Tensor input = given[0].toTensor();
         auto sizes = input.sizes().vec();
         sizes.at(c10::maybe_wrap_dim(given[1].toInt(), input.dim())) = given[2].toTensor().numel();
         return {at::empty(sizes, input.options())};
       }},
      {"aten::embedding_dense_backward",
       [](const Values& given) -> Values {
         const Tensor gradient = given[0].toTensor();
         return {at::empty({given[2].toInt(), gradient.size(-1)}, gradient.options())};
       }},
      {"aten::native_layer_norm",
       [](const Values& given) -> Values {
         const Tensor input = given[0].toTensor();
         auto sizes = input.sizes().vec();
         std::fill(sizes.end() - given[1].toIntVector().size(), sizes.end(), 1);
         return {at::empty_like(input), at::empty(sizes, input.options()), at::empty(sizes, input.options())};
       }},
      {"aten::native_group_norm",
       [](const Values& given) -> Values {
         const Tensor input = given[0].toTensor();
         const auto made = [&] { return at::empty({given[3].toInt(), given[6].toInt()}, input.options()); };
         return {at::empty_like(input), made(), made()};
       }},
      {"aten::native_layer_norm_backward", [](const Values& given) { return norm_gradients(given, 5); }},
      {"aten::native_group_norm_backward", [](const Values& given) { return norm_gradients(given, 4); }},
  };
  return *rules;
}

// One operator without values.
void compute_shapes(const c10::OperatorHandle& op, const std::string& name, torch::jit::Stack* stack) {
  const size_t count = op.schema().arguments().size();
  const auto& returns = op.schema().returns();
  const auto rule = shape_rules().find(name);
  const bool in_place = !returns.empty() && returns[0].alias_info();
  if (rule == shape_rules().end() && (op.hasKernelForDispatchKey(c10::DispatchKey::Meta) ||
                                      op.hasKernelForDispatchKey(c10::DispatchKey::CompositeExplicitAutograd))) {
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::Meta), stack);
    return;
  }
  const Values given(stack->end() - count, stack->end());
  TORCH_CHECK(rule != shape_rules().end() || in_place, "the device of shapes has no rule for ", name);
  Values made;
  if (rule != shape_rules().end()) {
    made = rule->second(given);
  } else if (op.schema().overload_name().find("out") == std::string::npos) {
    made = {given[0]};
  } else {  // elementwise, into the last argument
    static const std::set<std::string> elementwise = {"aten::abs", "aten::logical_and", "aten::logical_or", "aten::logical_not",
                                                      "aten::logical_xor", "aten::where",      "aten::nan_to_num"};
    TORCH_CHECK(elementwise.count(name), "the device of shapes has no rule for ", name, " into a tensor");
    std::vector<int64_t> sizes;
    for (size_t i = 0; i + 1 < count; i++)
      if (given[i].isTensor()) sizes = at::infer_size(sizes, given[i].toTensor().sizes());
    made = {given.back().toTensor().resize_(sizes)};
  }
  torch::jit::drop(*stack, count);
  stack->insert(stack->end(), made.begin(), made.end());
}

void compute(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  Call call{schema.name(), {}, {}, {}, {}};
  const size_t first = stack->size() - schema.arguments().size();
  for (size_t i = first; i < stack->size(); i++) (*stack)[i] = call.lend_value((*stack)[i]);
  call.check();
  if (waits(call.name)) note("wait in " + call.name);
  if (!is_view(schema)) begin(call.name, call.device());
  if (!only_shapes()) {
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  } else {
    compute_shapes(op, call.name, stack);
  }
  double bytes = 0;
  for (const auto& [own, lent] : call.aliases) bytes += bytes_of(own);
  std::optional<Tensor> made;
  for (size_t i = stack->size() - schema.returns().size(); i < stack->size(); i++) {
    (*stack)[i] = call.back_value((*stack)[i]);
    if ((*stack)[i].isTensor() && (*stack)[i].toTensor().defined()) {
      bytes += bytes_of((*stack)[i].toTensor());
      if (!made) made = (*stack)[i].toTensor();
    }
  }
  if (is_view(schema) || !made) return;
  std::vector<Tensor> given;
  for (const auto& [own, lent] : call.aliases) given.push_back(own);
  pass_time(operations_of(call.name, given, *made), bytes, made->scalar_type());
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
  if (only_shapes()) {
    if (self.is_cuda() && source.is_cuda()) pass_time(0, bytes_of(self) + bytes_of(source), self.scalar_type());
    if (!self.is_cuda()) self.zero_();
    return self;
  }
  Tensor to = self.is_cuda() ? cpu_alias(self) : self;
  to.copy_(source.is_cuda() ? cpu_alias(source) : source);
  return self;
}

at::Scalar local_scalar_dense(const Tensor& self) {
  note("wait for a value");
  return only_shapes() ? at::Scalar(0).to<double>() : cpu_alias(self).item();
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
// Convolution by the CPU's own kernel, where CUDA would take cuDNN's.
Tensor convolve(const Tensor& input, const Tensor& weight, at::IntArrayRef, const std::optional<Tensor>& bias, at::IntArrayRef stride,
                at::IntArrayRef padding) {
  Call call{"aten::_slow_conv2d_forward", {}, {}, {}, {}};
  const Tensor lent_input = call.lend(input), lent_weight = call.lend(weight), lent_bias = call.lend(bias.value_or(Tensor()));
  call.check();
  begin(call.name, call.device());
  Tensor output;
  if (only_shapes()) {
    const auto size = [&](int axis) {
      return (input.size(2 + axis) + 2 * padding[axis] - weight.size(2 + axis)) / stride[axis] + 1;
    };
    output = at::empty({input.size(0), weight.size(0), size(0), size(1)}, lent_input.options());
  } else {
    output = at::convolution(lent_input, lent_weight, lent_bias, stride, padding, c10::IntArrayRef({1, 1}), false,
                             c10::IntArrayRef({0, 0}), 1);
  }
  const auto made = call.back(output);
  pass_time(2.0 * made.numel() * weight[0].numel(), bytes_of(input) + bytes_of(weight) + bytes_of(made), made.scalar_type());
  return made;
}

std::tuple<Tensor, Tensor, Tensor> convolve_backward(const Tensor& gradient, const Tensor& input, const Tensor& weight,
                                                     at::IntArrayRef, at::IntArrayRef stride, at::IntArrayRef padding,
                                                     std::array<bool, 3> mask) {
  Call call{"aten::_slow_conv2d_backward", {}, {}, {}, {}};
  const Tensor lent_gradient = call.lend(gradient), lent_input = call.lend(input), lent_weight = call.lend(weight);
  call.check();
  begin(call.name, call.device());
  Tensor to_input, to_weight, to_bias;
  if (only_shapes()) {
    if (mask[0]) to_input = at::empty_like(lent_input);
    if (mask[1]) to_weight = at::empty_like(lent_weight);
    if (mask[2]) to_bias = at::empty({weight.size(0)}, lent_weight.options());
  } else {
    std::tie(to_input, to_weight, to_bias) = at::convolution_backward(
        lent_gradient, lent_input, lent_weight, c10::IntArrayRef({weight.size(0)}), stride, padding, c10::IntArrayRef({1, 1}),
        false, c10::IntArrayRef({0, 0}), 1, mask);
  }
  const double products = (mask[0] ? 1 : 0) + (mask[1] ? 1 : 0);
  pass_time(products * 2.0 * gradient.numel() * weight[0].numel(),
            bytes_of(gradient) + products * (bytes_of(input) + bytes_of(weight)), gradient.scalar_type());
  return {call.back(to_input), call.back(to_weight), call.back(to_bias)};
}

constexpr int64_t EFFICIENT_ATTENTION = 2;  // at::SDPBackend

int64_t attention_choice(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>&, double, bool, std::optional<double>,
                         bool) {
  return EFFICIENT_ATTENTION;
}

double attention_operations(const Tensor& query, const Tensor& key) { return 4.0 * query.numel() * key.size(-2); }

// Attention that keeps no scores, as CUDA's memory-efficient kernel.
std::tuple<Tensor, Tensor, Tensor, Tensor> attend(const Tensor& query, const Tensor& key, const Tensor& value,
                                                  const std::optional<Tensor>& mask, bool, double dropout, bool causal,
                                                  std::optional<double> scale) {
  Call call{"aten::_scaled_dot_product_efficient_attention", {}, {}, {}, {}};
  const Tensor lent_query = call.lend(query), lent_key = call.lend(key), lent_value = call.lend(value);
  const Tensor lent_mask = call.lend(mask.value_or(Tensor()));
  call.check();
  begin(call.name, call.device());
  const auto given = lent_mask.defined() ? std::optional<Tensor>(lent_mask) : std::nullopt;
  Tensor output, sums;
  if (only_shapes()) {
    const auto [batch, heads, length] = std::tuple(query.size(0), query.size(1), query.size(2));
    output = at::empty({batch, length, heads, value.size(3)}, lent_query.options()).transpose(1, 2);
    sums = at::empty({batch, heads, length}, lent_query.options().dtype(at::kFloat));
  } else {
    std::tie(output, sums) = at::_scaled_dot_product_flash_attention_for_cpu(lent_query, lent_key, lent_value, dropout, causal, given, scale);
  }
  const Tensor made = call.back(output);
  pass_time(attention_operations(query, key), bytes_of(query) + bytes_of(key) + bytes_of(value) + bytes_of(made), made.scalar_type());
  const Tensor none = at::empty({0}, at::kLong);
  return {made, call.back(sums), none, none};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> attend_backward(const Tensor& gradient, const Tensor& query, const Tensor& key,
                                                           const Tensor& value, const Tensor& mask, const Tensor& output,
                                                           const Tensor& sums, const Tensor&, const Tensor&, double dropout,
                                                           std::array<bool, 4>, bool causal, std::optional<double> scale) {
  Call call{"aten::_scaled_dot_product_efficient_attention_backward", {}, {}, {}, {}};
  const Tensor lent_gradient = call.lend(gradient), lent_query = call.lend(query), lent_key = call.lend(key);
  const Tensor lent_value = call.lend(value), lent_mask = call.lend(mask), lent_output = call.lend(output);
  const Tensor lent_sums = call.lend(sums);
  call.check();
  begin(call.name, call.device());
  const auto given = lent_mask.defined() ? std::optional<Tensor>(lent_mask) : std::nullopt;
  Tensor to_query, to_key, to_value;
  if (only_shapes()) {
    to_query = at::empty_like(lent_query), to_key = at::empty_like(lent_key), to_value = at::empty_like(lent_value);
  } else {
    std::tie(to_query, to_key, to_value) = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        lent_gradient, lent_query, lent_key, lent_value, lent_output, lent_sums, dropout, causal, given, scale);
  }
  pass_time(2.5 * attention_operations(query, key), 2 * (bytes_of(query) + bytes_of(key) + bytes_of(value)) + 2 * bytes_of(output),
            query.scalar_type());
  return {call.back(to_query), call.back(to_key), call.back(to_value), Tensor()};
}

struct Hooks final : at::CUDAHooksInterface {
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
  at::Allocator* getCUDADeviceAllocator() const override { return &allocator; }
  void deviceSynchronize(DeviceIndex) const override { note("wait for the device"); }
  const at::Generator& getDefaultGenerator(DeviceIndex) const override { return at::detail::getDefaultCPUGenerator(); }
};

// Tells libtorch of the devices. They stay until the process ends.
void install() {
  c10::SetAllocator(c10::kCUDA, &allocator, 1);
  c10::impl::DeviceGuardImplRegistrar(c10::kCUDA, new Guard());
  at::CUDAHooksRegistry()->Register("CUDAHooks", [](at::CUDAHooksArgs) { return std::unique_ptr<at::CUDAHooksInterface>(new Hooks()); });
  auto* any = new torch::Library(torch::Library::IMPL, "_", c10::DispatchKey::CUDA, __FILE__, __LINE__);
  any->fallback(torch::CppFunction::makeFromBoxedFunction<&compute>());
  auto* own = new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::CUDA, __FILE__, __LINE__);
  own->impl("empty.memory_format", TORCH_FN(empty));
  own->impl("empty_strided", TORCH_FN(empty_strided));
  own->impl("copy_", TORCH_FN(copy_));
  own->impl("_local_scalar_dense", TORCH_FN(local_scalar_dense));
  own->impl("resize_", TORCH_FN(resize_));
  own->impl("_slow_conv2d_forward", TORCH_FN(convolve));
  own->impl("_slow_conv2d_backward.output_mask", TORCH_FN(convolve_backward));
  own->impl("_scaled_dot_product_efficient_attention", TORCH_FN(attend));
  own->impl("_scaled_dot_product_efficient_attention_backward", TORCH_FN(attend_backward));
  at::native::_fused_sdp_choice_stub.set_cuda_dispatch_ptr(&attention_choice);
  // Without these libtorch takes them apart, which CUDA does not.
  for (const char* name : {"native_layer_norm", "native_group_norm"})
    own->impl(name, torch::CppFunction::makeFromBoxedFunction<&compute>());
}

const bool is_installed_for_tests = settings().devices > 0 && (install(), true);
}  // namespace

namespace stand_in {
bool exists() { return settings().devices > 0; }

void become(Rates rates) {
  const bool is_new = !exists();
  if (is_new) settings().devices = 1;
  settings().limit = rates.memory;
  settings().rates = rates;
  if (is_new) install();
}

double seconds() {
  std::lock_guard<std::mutex> locked(book().mutex);
  return book().seconds;
}

void region(const char* name) {
  if (!exists()) return;
  std::lock_guard<std::mutex> locked(book().mutex);
  book().region = name;
}
}  // namespace stand_in
