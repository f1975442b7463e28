//! For each network's config file: the keys besides its fields that are known to decide nothing, those that may have one
//! value alone, and the sizes that go together.

mod diffusers;
mod transformers;
