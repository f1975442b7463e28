// Pieces of networks as functions that libtorch can differentiate, and what all functions have in common.
#include "functions.h"

namespace {

const fused::Kernels* find_kernels() {
#ifdef HAS_KERNELS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    return delora_fused_kernels_avx512();
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return delora_fused_kernels_avx2();
#endif
  return nullptr;
}

}  // namespace

namespace fused {

const Kernels* kernels() {
  static const Kernels* found = find_kernels();
  return found;
}

float* space(int64_t floats) {
  thread_local std::vector<float> memory;
  if (memory.size() < static_cast<size_t>(floats) + 16) memory.resize(floats + 16);
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  return reinterpret_cast<float*>((address + 63) / 64 * 64);
}

std::string& message() {
  thread_local std::string text;
  return text;
}

}  // namespace fused

namespace {

using namespace fused;

Tensor channels_last(const Tensor& tensor) { return tensor.contiguous(at::MemoryFormat::ChannelsLast); }

Tensor empty_pictures(at::IntArrayRef sizes, const Tensor& like) {
  return at::empty(sizes, like.options().memory_format(at::MemoryFormat::ChannelsLast));
}

Tensor convolved(const Tensor& input, const Tensor& weights, const Tensor& bias) {
  const Tensor pictures = channels_last(input);
  const Tensor output =
      empty_pictures({pictures.size(0), weights.size(2), pictures.size(2), pictures.size(3)}, pictures);
  const fused::Convolution convolution{
      pictures.const_data_ptr<float>(), weights.const_data_ptr<float>(),
      bias.defined() ? bias.const_data_ptr<float>() : nullptr, output.mutable_data_ptr<float>(),
      pictures.size(0), pictures.size(2), pictures.size(3), weights.size(1), weights.size(2)};
  const int64_t tiles = pictures.size(0) * ((pictures.size(2) + 1) / 2) * ((pictures.size(3) + 1) / 2);
  at::parallel_for(0, tiles, 16, [&](int64_t first, int64_t last) {
    kernels()->convolve(convolution, first, last, space(kernels()->convolve_space(convolution)));
  });
  return output;
}

struct Convolve : torch::autograd::Function<Convolve> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& weights, const Tensor& turned,
                        const std::optional<Tensor>& bias) {
    context->save_for_backward({turned});
    return convolved(input, weights, bias.value_or(Tensor()));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {convolved(gradients[0], context->get_saved_variables()[0], Tensor()), Tensor(), Tensor(), Tensor()};
  }
};

fused::GroupNorm norm_of(const Tensor& input, const Tensor& weight, const Tensor& bias, const Tensor& statistics,
                         int64_t groups, double eps, bool silu) {
  return {input.const_data_ptr<float>(),
          weight.const_data_ptr<float>(),
          bias.const_data_ptr<float>(),
          statistics.mutable_data_ptr<float>(),
          input.size(2) * input.size(3),
          input.size(1),
          groups,
          eps,
          silu};
}

struct Norm : torch::autograd::Function<Norm> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& weight, const Tensor& bias,
                        int64_t groups, double eps, bool silu) {
    const Tensor pictures = channels_last(input);
    const Tensor output = empty_pictures(pictures.sizes(), pictures);
    const Tensor statistics = at::empty({pictures.size(0), groups, 2}, pictures.options());
    const auto norm = norm_of(pictures, weight, bias, statistics, groups, eps, silu);
    at::parallel_for(0, pictures.size(0), 1, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; row++) {
        kernels()->norm(norm, row, output.mutable_data_ptr<float>(), space(4 * norm.channels));
      }
    });
    context->save_for_backward({pictures, weight, bias, statistics});
    context->saved_data["groups"] = groups;
    context->saved_data["eps"] = eps;
    context->saved_data["silu"] = silu;
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto& data = context->saved_data;
    const auto norm = norm_of(saved[0], saved[1], saved[2], saved[3], data.at("groups").toInt(),
                              data.at("eps").toDouble(), data.at("silu").toBool());
    const Tensor gradient = channels_last(gradients[0]);
    const Tensor to = empty_pictures(saved[0].sizes(), saved[0]);
    at::parallel_for(0, saved[0].size(0), 1, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; row++) {
        kernels()->norm_back(norm, row, gradient.const_data_ptr<float>(), to.mutable_data_ptr<float>(),
                             space(4 * norm.channels));
      }
    });
    return {to, Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

struct Gate : torch::autograd::Function<Gate> {
  static Tensor forward(AutogradContext* context, const Tensor& input) {
    const Tensor values = input.contiguous();
    const int64_t width = values.size(-1) / 2, rows = values.numel() / (2 * width);
    auto sizes = values.sizes().vec();
    sizes.back() = width;
    const Tensor output = at::empty(sizes, values.options());
    at::parallel_for(0, rows, 16, [&](int64_t first, int64_t last) {
      kernels()->gate(values.const_data_ptr<float>() + 2 * first * width, last - first, width,
                      output.mutable_data_ptr<float>() + first * width);
    });
    context->save_for_backward({values});
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Tensor values = context->get_saved_variables()[0];
    const Tensor gradient = gradients[0].contiguous();
    const int64_t width = values.size(-1) / 2, rows = values.numel() / (2 * width);
    const Tensor to = at::empty_like(values);
    at::parallel_for(0, rows, 16, [&](int64_t first, int64_t last) {
      kernels()->gate_back(values.const_data_ptr<float>() + 2 * first * width,
                           gradient.const_data_ptr<float>() + first * width, last - first, width,
                           to.mutable_data_ptr<float>() + 2 * first * width);
    });
    return {to};
  }
};

fused::Dropped dropped_of(const Tensor& kept, const Tensor& factors) {
  if (!kept.defined()) return {nullptr, nullptr};
  return {reinterpret_cast<const uint8_t*>(kept.const_data_ptr<bool>()), factors.const_data_ptr<float>()};
}

// Dropout, and the gradient of its input, which is dropout of the gradient.
struct Drop : torch::autograd::Function<Drop> {
  static Tensor dropped(const Tensor& input, const Tensor& kept, const Tensor& factors) {
    const Tensor values = input.contiguous(), output = at::empty_like(values);
    const auto of = dropped_of(kept, factors);
    const int64_t count = values.numel() / values.size(0);
    // Pieces of a row, so that few long rows keep all threads at work.
    const int64_t piece = 4096, pieces = (count + piece - 1) / piece;
    at::parallel_for(0, values.size(0) * pieces, 8, [&](int64_t first, int64_t last) {
      for (int64_t index = first; index < last; index++) {
        const int64_t row = index / pieces, start = index % pieces * piece, place = row * count + start;
        kernels()->drop(of, row, values.const_data_ptr<float>() + place, place, std::min(piece, count - start),
                        output.mutable_data_ptr<float>() + place);
      }
    });
    return output;
  }

  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& kept, const Tensor& factors) {
    context->save_for_backward({kept, factors});
    return dropped(input, kept, factors);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {dropped(gradients[0], saved[0], saved[1]), Tensor(), Tensor()};
  }
};

// With features that lie one after another.
Tensor dense_features(const Tensor& tensor) { return tensor.stride(-1) == 1 ? tensor : tensor.contiguous(); }

fused::Attention attention_of(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask,
                              const fused::Dropped& dropped, const Tensor& output, const Tensor& log_sums,
                              int64_t heads) {
  const int64_t width = query.size(2) / heads;
  return {query.const_data_ptr<float>(),
          key.const_data_ptr<float>(),
          value.const_data_ptr<float>(),
          mask.defined() ? mask.const_data_ptr<float>() : nullptr,
          dropped,
          {query.stride(0), query.stride(1)},
          {key.stride(0), key.stride(1)},
          {value.stride(0), value.stride(1)},
          output.mutable_data_ptr<float>(),
          log_sums.mutable_data_ptr<float>(),
          query.size(1),
          key.size(1),
          heads,
          width,
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(width)))};
}

struct Attend : torch::autograd::Function<Attend> {
  static Tensor forward(AutogradContext* context, const Tensor& query_, const Tensor& key_, const Tensor& value_,
                        const std::optional<Tensor>& mask, const std::optional<Tensor>& kept_,
                        const std::optional<Tensor>& factors_, int64_t heads) {
    const Tensor kept = kept_.value_or(Tensor()), factors = factors_.value_or(Tensor());
    const Tensor query = dense_features(query_), key = dense_features(key_), value = dense_features(value_);
    const Tensor output = at::empty(query.sizes(), query.options());
    const Tensor log_sums = at::empty({query.size(0), heads, query.size(1)}, query.options());
    const auto attention = attention_of(query, key, value, mask.value_or(Tensor()), dropped_of(kept, factors), output,
                                        log_sums, heads);
    at::parallel_for(0, query.size(0) * heads, 1, [&](int64_t first, int64_t last) {
      float* memory = space(kernels()->attend_space(attention));
      for (int64_t place = first; place < last; place++) {
        kernels()->attend(attention, place / heads, place % heads, memory);
      }
    });
    context->save_for_backward({query, key, value, mask.value_or(Tensor()), output, log_sums, kept, factors});
    context->saved_data["heads"] = heads;
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const int64_t heads = context->saved_data.at("heads").toInt();
    const auto attention = attention_of(saved[0], saved[1], saved[2], saved[3], dropped_of(saved[6], saved[7]),
                                        saved[4], saved[5], heads);
    const Tensor gradient = gradients[0].contiguous();
    const Tensor query = at::empty(saved[0].sizes(), saved[0].options());
    const Tensor key = at::empty(saved[1].sizes(), saved[1].options());
    const Tensor value = at::empty(saved[2].sizes(), saved[2].options());
    const fused::AttentionGradients to{gradient.const_data_ptr<float>(), query.mutable_data_ptr<float>(),
                                       key.mutable_data_ptr<float>(), value.mutable_data_ptr<float>()};
    at::parallel_for(0, saved[0].size(0) * heads, 1, [&](int64_t first, int64_t last) {
      float* memory = space(kernels()->attend_space(attention));
      for (int64_t place = first; place < last; place++) {
        kernels()->attend_back(attention, to, place / heads, place % heads, memory);
      }
    });
    return {query, key, value, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

extern "C" {

const char* delora_fused_message() { return message().c_str(); }

// Values of a vector; 0 where this machine has no kernels.
int64_t delora_fused_lanes() { return kernels() == nullptr ? 0 : kernels()->lanes; }

// Arguments are those that src/lib.rs has checked.
Tensor* delora_fused_convolve(const Tensor* input, const Tensor* weights, const Tensor* turned, const Tensor* bias) {
  return caught([&] { return Convolve::apply(*input, *weights, *turned, present(bias)); });
}

Tensor* delora_fused_norm(const Tensor* input, const Tensor* weight, const Tensor* bias, int64_t groups, double eps,
                          bool silu) {
  return caught([&] { return Norm::apply(*input, *weight, *bias, groups, eps, silu); });
}

Tensor* delora_fused_gate(const Tensor* input) {
  return caught([&] { return Gate::apply(*input); });
}

Tensor* delora_fused_drop(const Tensor* input, const Tensor* kept, const Tensor* factors) {
  return caught([&] { return Drop::apply(*input, *kept, *factors); });
}

Tensor* delora_fused_attend(const Tensor* query, const Tensor* key, const Tensor* value, const Tensor* mask,
                            const Tensor* kept, const Tensor* factors, int64_t heads) {
  return caught([&] {
    return Attend::apply(*query, *key, *value, present(mask), present(kept), present(factors), heads);
  });
}

// The largest magnitude of each of `trials` equal parts of the rows, [trials].
Tensor* delora_fused_largest(const Tensor* input, int64_t trials) {
  return caught([&] {
    // Any order of a row's values will do, as long as the rows lie one after another.
    const bool is_dense = input->is_non_overlapping_and_dense() && input->stride(0) * input->size(0) == input->numel();
    const Tensor values = is_dense ? *input : input->contiguous();
    const Tensor output = at::empty({trials}, values.options().memory_format(at::MemoryFormat::Contiguous));
    const int64_t count = values.numel() / trials;
    at::parallel_for(0, trials, 1, [&](int64_t first, int64_t last) {
      for (int64_t trial = first; trial < last; trial++) {
        output.mutable_data_ptr<float>()[trial] = kernels()->largest(values.const_data_ptr<float>() + trial * count, count);
      }
    });
    return output;
  });
}
}
