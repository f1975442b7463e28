// Kernels over plain f32 memory, for the instruction set that this file is compiled for.
//
// It includes no templates of other libraries: the linker might choose a copy of theirs that was compiled here, for
// instructions that the machine does not have.
#include "adapter_kernels.h"
#include "kernels.h"
#include "network_kernels.h"

namespace {

constexpr fused::Kernels KERNELS{LANES, TILES, convolve_space, convolve, norm, norm_back, gate, gate_back, drop,
                                 attend_space, attend, attend_back, largest, update_space, update, update_back,
                                 factors_back, scale_rows, sum_of_products, normalize, normalize_back, adamw};

}  // namespace

#define NAME_OF(set) delora_fused_kernels_##set
#define NAME(set) NAME_OF(set)
extern "C" const fused::Kernels* NAME(SET)() { return &KERNELS; }
