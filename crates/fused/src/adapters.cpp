// Adapted layers, and what trains them, as functions that libtorch can differentiate.
#include <array>

#include "functions.h"

namespace {

using namespace fused;

// Calls `work` with each trial and a range of its rows: all of them, or parts where there are fewer trials than threads and
// trials need not stay whole.
template <typename Work>
void over_rows(int64_t trials, int64_t rows, bool whole, int64_t space_size, const Work& work) {
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  const int64_t parts = whole || trials >= threads ? 1 : (threads + trials - 1) / trials;
  const int64_t size = (rows + parts - 1) / parts;
  at::parallel_for(0, trials * parts, 1, [&](int64_t first, int64_t last) {
    float* memory = space(space_size);
    for (int64_t part = first; part < last; part++) {
      const int64_t start = part % parts * size;
      if (start < rows) work(part / parts, start, std::min(start + size, rows), memory);
    }
  });
}

// The matrices of trials one after another, each of which lies in one piece.
Tensor whole_matrices(const Tensor& factors) {
  const bool is_whole = factors.stride(2) == 1 && factors.stride(1) == factors.size(2);
  return is_whole ? factors : factors.contiguous();
}

// Trials that change a frozen layer alike. Tensors of parts that it lacks are undefined.
struct Section {
  int64_t first, trials;
  bool reads_dropped;
  // What is given.
  Tensor row_scale, down, up, output_down, output_up;
  // What the pass forward keeps: the frozen product, where a part reads it, and what lies between factors.
  Tensor product, inner, output_inner;
  // What the pass back computes.
  Tensor to_product, to_inner, to_output_inner;

  static constexpr int64_t PARTS = 5;
  Tensor* part(int64_t index) { return std::array<Tensor*, PARTS>{&row_scale, &down, &up, &output_down, &output_up}[index]; }
  // Whether a part reads the frozen product.
  bool reads_product() const { return row_scale.defined() || output_down.defined(); }
};

// Sections of a layer, from what is known of each (its trials, whether its update reads `dropped`, and which parts it has)
// and the parts that are there.
std::vector<Section> sections_of(at::IntArrayRef known, at::TensorList parts) {
  std::vector<Section> sections;
  int64_t first = 0, used = 0;
  for (size_t place = 0; place < known.size(); place += 3) {
    Section section{first, known[place], known[place + 1] != 0};
    first += section.trials;
    for (int64_t index = 0; index < Section::PARTS; index++) {
      if (known[place + 2] >> index & 1) *section.part(index) = parts[used++];
    }
    sections.push_back(std::move(section));
  }
  return sections;
}

// A frozen linear layer under the sections of a bank.
struct AdaptedLayer {
  Tensor input, dropped, weight;  // [trials, rows, inputs], the same or undefined, [outputs, inputs]
  std::vector<Section> sections;

  int64_t trials() const { return input.size(0); }
  int64_t rows() const { return input.size(1); }

  // The rows of a section in `tensor` [trials, rows, features].
  Tensor rows_of(const Tensor& tensor, const Section& section) const {
    return tensor.narrow(0, section.first, section.trials);
  }

  Tensor new_rows(const Section& section, int64_t features) const {
    return at::empty({section.trials, rows(), features}, input.options());
  }

  // Calls `product` with neighbours that no part separates from the frozen product, as a first trial and a number, and with
  // each other section.
  template <typename Product>
  void over_products(const Product& product) {
    for (size_t place = 0; place < sections.size();) {
      Section& section = sections[place++];
      int64_t count = section.trials;
      while (!section.reads_product() && place < sections.size() && !sections[place].reads_product()) {
        count += sections[place++].trials;
      }
      product(section, count);
    }
  }

  // Calls `work` with each trial's section, its place there, a range of rows and memory; whole trials are never divided.
  template <typename Work>
  void over(const Work& work, bool whole = false) {
    std::vector<Section*> section_of;
    int64_t most = 0;
    for (Section& section : sections) {
      section_of.insert(section_of.end(), section.trials, &section);
      if (section.down.defined()) most = std::max(most, kernels()->update_space(update(section)));
      if (section.output_down.defined()) most = std::max(most, kernels()->update_space(output_update(section)));
    }
    over_rows(trials(), rows(), whole, most, [&](int64_t trial, int64_t first, int64_t last, float* memory) {
      Section& section = *section_of[trial];
      work(section, trial - section.first, first, last, memory);
    });
  }

  static fused::LowRank low_rank(const float* input, const Tensor& down, const Tensor& up, const Tensor& inner) {
    return {input,        down.const_data_ptr<float>(), up.const_data_ptr<float>(), inner.mutable_data_ptr<float>(),
            inner.size(1), down.size(2),                up.size(1),                 down.size(1),
            down.stride(0), up.stride(0)};
  }

  fused::LowRank update(const Section& section) const {
    const Tensor& read = section.reads_dropped && dropped.defined() ? dropped : input;
    const float* values = read.const_data_ptr<float>() + section.first * read.stride(0);
    return low_rank(values, section.down, section.up, section.inner);
  }

  fused::LowRank output_update(const Section& section) const {
    return low_rank(section.product.const_data_ptr<float>(), section.output_down, section.output_up, section.output_inner);
  }
};

float* trial_of(const Tensor& tensor, int64_t trial) { return tensor.mutable_data_ptr<float>() + trial * tensor.stride(0); }

const float* values_of(const Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr; }

Tensor flat(const Tensor& tensor) { return tensor.view({-1, tensor.size(-1)}); }

// y = row_scale ∘ (x weightᵀ) + update(x), then y + output(y) + bias.
struct Adapt : torch::autograd::Function<Adapt> {
  // `tensors` are the input, what is left of it for updates where `is_dropped`, and the parts of sections.
  static Tensor forward(AutogradContext* context, at::TensorList tensors, const Tensor& weight,
                        const std::optional<Tensor>& bias, std::vector<int64_t> known, bool is_dropped) {
    AdaptedLayer layer{tensors[0].contiguous(), is_dropped ? tensors[1].contiguous() : Tensor(), weight};
    layer.sections = sections_of(known, tensors.slice(is_dropped ? 2 : 1));
    const int64_t outputs = weight.size(0);
    const Tensor output = at::empty({layer.trials(), layer.rows(), outputs}, layer.input.options());
    for (Section& section : layer.sections) {
      for (Tensor* factors : {&section.down, &section.up, &section.output_down, &section.output_up}) {
        if (factors->defined()) *factors = whole_matrices(*factors);
      }
      if (section.reads_product()) section.product = layer.new_rows(section, outputs);
      if (section.down.defined()) section.inner = layer.new_rows(section, section.down.size(1));
      if (section.output_down.defined()) section.output_inner = layer.new_rows(section, section.output_down.size(1));
    }
    layer.over_products([&](const Section& section, int64_t count) {
      Tensor to = flat(section.reads_product() ? section.product : output.narrow(0, section.first, count));
      const Tensor from = flat(layer.input.narrow(0, section.first, count));
      if (bias && !section.reads_product()) {
        at::addmm_out(to, *bias, from, weight.t());
      } else {
        at::mm_out(to, from, weight.t());
      }
    });
    layer.over([&](Section& section, int64_t trial, int64_t first, int64_t last, float* memory) {
      float* to = trial_of(output, section.first + trial);
      float* updated = section.output_down.defined() ? trial_of(section.product, trial) : to;
      const int64_t start = first * outputs, count = last - first;
      const auto copy_product = [&](const float* scale) {
        const float* product = trial_of(section.product, trial) + start;
        kernels()->scale_rows(product, scale, values_of(bias.value_or(Tensor())), count, outputs, to + start);
      };
      if (section.row_scale.defined()) copy_product(trial_of(section.row_scale, trial));
      if (section.down.defined()) kernels()->update(layer.update(section), trial, first, last, updated, memory);
      if (section.output_down.defined()) {
        copy_product(nullptr);
        kernels()->update(layer.output_update(section), trial, first, last, to, memory);
      }
    });
    variable_list saved{layer.input, weight};
    if (is_dropped) saved.push_back(layer.dropped);
    for (Section& section : layer.sections) {
      for (int64_t index = 0; index < Section::PARTS; index++) {
        if (section.part(index)->defined()) saved.push_back(*section.part(index));
      }
    }
    for (const Section& section : layer.sections) {
      for (const Tensor& kept : {section.product, section.inner, section.output_inner}) saved.push_back(kept);
    }
    context->save_for_backward(saved);
    context->saved_data["known"] = known;
    context->saved_data["is_dropped"] = is_dropped;
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto known = context->saved_data.at("known").toIntVector();
    const bool is_dropped = context->saved_data.at("is_dropped").toBool();
    const at::TensorList rest = at::TensorList(saved).slice(is_dropped ? 3 : 2);
    AdaptedLayer layer{saved[0], is_dropped ? saved[2] : Tensor(), saved[1]};
    layer.sections = sections_of(known, rest);
    const size_t num_parts = rest.size() - 3 * layer.sections.size();
    const int64_t outputs = layer.weight.size(0);
    const Tensor gradient = gradients[0].contiguous();
    const bool needs_input = context->needs_input_grad(0);
    const Tensor to_input = needs_input ? at::empty_like(layer.input) : Tensor();
    const Tensor to_dropped = is_dropped ? at::zeros_like(layer.dropped) : Tensor();
    variable_list to_parts;
    bool any_reads_product = false;
    for (size_t place = 0; place < layer.sections.size(); place++) {
      Section& section = layer.sections[place];
      section.product = rest[num_parts + 3 * place];
      section.inner = rest[num_parts + 3 * place + 1];
      section.output_inner = rest[num_parts + 3 * place + 2];
      any_reads_product |= section.reads_product();
      if (section.reads_product()) section.to_product = at::empty_like(section.product);
      if (section.down.defined()) section.to_inner = at::empty_like(section.inner);
      if (section.output_down.defined()) section.to_output_inner = at::empty_like(section.output_inner);
      for (int64_t index = 0; index < Section::PARTS; index++) {
        const Tensor& part = *section.part(index);
        if (part.defined()) to_parts.push_back(at::empty(part.sizes(), part.options()));
      }
    }
    const auto to_sections = sections_of(known, to_parts);
    // Gradients of what updates are added to, at a trial of a section.
    const auto to_updated = [&](const Section& section, int64_t trial) {
      return section.output_down.defined() ? trial_of(section.to_product, trial)
                                           : trial_of(gradient, section.first + trial);
    };
    if (any_reads_product) {
      layer.over([&](Section& section, int64_t trial, int64_t first, int64_t last, float* memory) {
        if (!section.reads_product()) return;
        const int64_t start = first * outputs;
        const float* scale = section.row_scale.defined() ? trial_of(section.row_scale, trial) : nullptr;
        kernels()->scale_rows(trial_of(gradient, section.first + trial) + start, scale, nullptr, last - first, outputs,
                              trial_of(section.to_product, trial) + start);
        if (section.output_down.defined()) {
          const fused::LowRankGradients to{trial_of(gradient, section.first + trial), trial_of(section.to_product, trial),
                                           trial_of(section.to_output_inner, trial)};
          kernels()->update_back(layer.output_update(section), to, trial, first, last, memory);
        }
      });
    }
    if (needs_input) {
      layer.over_products([&](const Section& section, int64_t count) {
        Tensor to = flat(to_input.narrow(0, section.first, count));
        at::mm_out(to, flat(section.reads_product() ? section.to_product : gradient.narrow(0, section.first, count)),
                   layer.weight);
      });
    }
    layer.over([&](Section& section, int64_t trial, int64_t first, int64_t last, float* memory) {
      if (!section.down.defined()) return;
      const Tensor& read = section.reads_dropped && is_dropped ? to_dropped : to_input;
      const fused::LowRankGradients to{to_updated(section, trial),
                                       read.defined() ? trial_of(read, section.first + trial) : nullptr,
                                       trial_of(section.to_inner, trial)};
      kernels()->update_back(layer.update(section), to, trial, first, last, memory);
    });
    const auto of_trial = [&](Section& section, int64_t trial, int64_t, int64_t, float* memory) {
      const Section& to = to_sections[&section - layer.sections.data()];
      const float* of_output = trial_of(gradient, section.first + trial);
      if (section.down.defined()) {
        kernels()->factors_back(layer.update(section), trial, to_updated(section, trial), trial_of(section.to_inner, trial),
                                trial_of(to.down, trial), trial_of(to.up, trial), memory);
      }
      if (section.output_down.defined()) {
        kernels()->factors_back(layer.output_update(section), trial, of_output, trial_of(section.to_output_inner, trial),
                                trial_of(to.output_down, trial), trial_of(to.output_up, trial), memory);
      }
      if (section.row_scale.defined()) {
        kernels()->sum_of_products(of_output, trial_of(section.product, trial), layer.rows(), outputs,
                                   trial_of(to.row_scale, trial));
      }
    };
    layer.over(of_trial, true);
    variable_list all{to_input};
    if (is_dropped) all.push_back(to_dropped);
    all.insert(all.end(), to_parts.begin(), to_parts.end());
    for (int64_t none = 0; none < 4; none++) all.emplace_back();  // weight, bias, known, is_dropped
    return all;
  }
};

// One of the terms whose normalized rows are computed together, all of [trials, sites, ..], at a trial's site.
fused::Normalized normalized_of(const Tensor* term, const Tensor& scale, double floor, int64_t place) {
  const Tensor &rows = term[0], &columns = term[1];
  const int64_t rank = rows.size(2), inputs = rows.size(3), outputs = columns.size(2), site = place % rows.size(1);
  return {rows.const_data_ptr<float>() + place * rank * inputs,
          columns.const_data_ptr<float>() + place * outputs * rank,
          scale.defined() ? scale.const_data_ptr<float>() + site * inputs : nullptr,
          term[2].const_data_ptr<float>()[place],
          static_cast<float>(floor),
          rank,
          inputs,
          outputs};
}

struct Normalize : torch::autograd::Function<Normalize> {
  // `tensors` are the rows [trials, sites, rank, inputs], columns [trials, sites, outputs, rank] and strength [trials, sites]
  // of each term.
  static Tensor forward(AutogradContext* context, at::TensorList tensors, const std::optional<Tensor>& scale, double floor) {
    variable_list terms;
    int64_t rank = 0;
    for (const Tensor& tensor : tensors) terms.push_back(tensor.contiguous());
    for (size_t term = 0; term < terms.size(); term += 3) rank += terms[term].size(2);
    const int64_t trials = terms[0].size(0), sites = terms[0].size(1), inputs = terms[0].size(3);
    const Tensor output = at::empty({trials, sites, rank, inputs}, terms[0].options());
    at::parallel_for(0, trials * sites, 4, [&](int64_t first, int64_t last) {
      for (int64_t place = first; place < last; place++) {
        float* to = output.mutable_data_ptr<float>() + place * rank * inputs;
        for (size_t term = 0; term < terms.size(); term += 3) {
          const auto normalized = normalized_of(&terms[term], scale.value_or(Tensor()), floor, place);
          kernels()->normalize(normalized, to, space(3 * normalized.rank));
          to += normalized.rank * inputs;
        }
      }
    });
    terms.push_back(scale.value_or(Tensor()));
    context->save_for_backward(terms);
    context->saved_data["floor"] = floor;
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const double floor = context->saved_data.at("floor").toDouble();
    const size_t count = saved.size() - 1;
    const Tensor gradient = gradients[0].contiguous();
    variable_list to(count);
    for (size_t place = 0; place < count; place++) {
      if (context->needs_input_grad(place)) to[place] = at::empty_like(saved[place]);
    }
    const int64_t rank = gradient.size(2), inputs = gradient.size(3);
    at::parallel_for(0, gradient.size(0) * gradient.size(1), 4, [&](int64_t first, int64_t last) {
      for (int64_t place = first; place < last; place++) {
        const float* from = gradient.const_data_ptr<float>() + place * rank * inputs;
        for (size_t term = 0; term < count; term += 3) {
          const auto normalized = normalized_of(&saved[term], saved.back(), floor, place);
          const auto at_place = [&](const Tensor& tensor, int64_t values) {
            return tensor.defined() ? tensor.mutable_data_ptr<float>() + place * values : nullptr;
          };
          const fused::NormalizedGradients gradients_to{from, at_place(to[term], normalized.rank * inputs),
                                                        at_place(to[term + 1], normalized.outputs * normalized.rank),
                                                        at_place(to[term + 2], 1)};
          kernels()->normalize_back(normalized, gradients_to, space(3 * normalized.rank));
          from += normalized.rank * inputs;
        }
      }
    });
    to.emplace_back();  // scale
    to.emplace_back();  // floor
    return to;
  }
};

variable_list listed(const Tensor* const* tensors, int64_t count) {
  variable_list list;
  for (int64_t place = 0; place < count; place++) list.push_back(*tensors[place]);
  return list;
}

}  // namespace

extern "C" {

// `tensors` and `known` as Adapt::forward takes them.
Tensor* delora_fused_adapt(const Tensor* const* tensors, int64_t num_tensors, const Tensor* weight, const Tensor* bias,
                           const int64_t* known, int64_t num_known, bool is_dropped) {
  return caught([&] {
    const variable_list list = listed(tensors, num_tensors);
    return Adapt::apply(at::TensorList(list), *weight, present(bias), std::vector<int64_t>(known, known + num_known),
                        is_dropped);
  });
}

// `tensors` as Normalize::forward takes them.
Tensor* delora_fused_normalize(const Tensor* const* tensors, int64_t num_tensors, const Tensor* scale, double floor) {
  return caught([&] {
    const variable_list list = listed(tensors, num_tensors);
    return Normalize::apply(at::TensorList(list), present(scale), floor);
  });
}

// Tensors of values are [trials, values], contiguous; those of a trial [trials]. In the order of fused::AdamW.
void delora_fused_adamw(const Tensor* const* values, const Tensor* const* of_trials, const Tensor* is_sound) {
  const int64_t trials = values[0]->size(0), count = values[0]->size(1);
  const int64_t chunk = 1 << 15, chunks = (count + chunk - 1) / chunk;
  at::parallel_for(0, trials * chunks, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; part++) {
      const int64_t trial = part / chunks, start = part % chunks * chunk;
      const auto row = [&](int64_t index) { return values[index]->mutable_data_ptr<float>() + trial * count; };
      const auto of = [&](int64_t index) { return of_trials[index]->const_data_ptr<float>()[trial]; };
      const fused::AdamW adamw{row(0), row(1), row(2), row(3), of(0), of(1), of(2), of(3), of(4), of(5),
                               is_sound->const_data_ptr<bool>()[trial]};
      kernels()->adamw(adamw, start, std::min(start + chunk, count));
    }
  });
}
}
