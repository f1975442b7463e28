//! Exchange with huggingface/peft (written against 0.21) and huggingface/diffusers (0.39).
//!
//! | PEFT type | ours                                            |
//! |-----------|-------------------------------------------------|
//! | LORA      | `lora`, `lora_plus`, `rslora`, `pissa`, `dora`, `dora_fixed_magnitude`, and any other additive update |
//! | DELORA    | `delora` with `zero_b` and `input_column`       |
//! | OFT       | `oft`                                           |
//! | IA3       | `ia3`                                           |
//! | VERA      | `vera`                                          |
//!
//! A folder of PEFT's is `adapter_config.json` and `adapter_model.safetensors`, whose tensors are named
//! `base_model.model.<layer>.<parameter>`. diffusers reads one file of LoRA factors.

mod config;
mod export;
mod folder;
mod import;
mod low_rank;

pub use export::{to_peft, to_peft_lora};
pub use folder::PeftAdapter;
pub use import::{Imported, from_peft};
pub use low_rank::{DiffusersLora, to_diffusers};
