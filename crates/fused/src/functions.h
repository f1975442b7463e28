// What the functions of this folder have in common.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <string>
#include <vector>

#include "kernels.h"

namespace fused {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// None where this machine has no kernels.
const Kernels* kernels();

// Memory of this thread that a kernel computes in.
float* space(int64_t floats);

// Why `caught` gave none.
std::string& message();

// A new tensor, or none where libtorch throws; `message` says why.
template <typename Work>
Tensor* caught(Work&& work) {
  try {
    return new Tensor(work());
  } catch (const std::exception& error) {
    message() = error.what();
    return nullptr;
  }
}

inline std::optional<Tensor> present(const Tensor* tensor) {
  return tensor == nullptr ? std::nullopt : std::make_optional(*tensor);
}

}  // namespace fused
