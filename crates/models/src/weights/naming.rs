//! How files of other generations, libraries and models name a network's tensors.
//!
//! One table per network; the loader knows no network. A pattern is a name in which `*` stands for one part between
//! dots, and a leading `**` for any number of them.

/// What a network's files may have that is called or shaped otherwise than its variables.
#[derive(Debug, Clone, Copy, Default)]
pub struct Naming {
    /// Starts of our names that a file may leave out, in all of them.
    pub left_out: &'static [&'static str],
    /// Starts of a file's names that ours do not have.
    pub in_front: &'static [&'static str],
    pub renames: &'static [Rename],
    /// Patterns of our matrices `[a, b]` that a file may hold as kernels `[a, b, 1, 1]`.
    pub kernels: &'static [&'static str],
    /// Starts of names of other models or heads, e.g. `lm_head.`: such a tensor needs no variable.
    pub foreign: &'static [&'static str],
}

/// Another name of a tensor.
#[derive(Debug)]
pub struct Rename {
    /// Pattern of the file's name.
    pub stored: &'static str,
    /// Ours, with as many `*`. Where there are several, they are equal parts of the file's tensor along its first axis.
    pub ours: &'static [&'static str],
}

const fn rename(stored: &'static str, ours: &'static [&'static str]) -> Rename {
    Rename { stored, ours }
}

/// Buffers that some checkpoints carry and no network here needs.
pub(super) const BUFFERS: [&str; 6] = [
    "**.position_ids",
    "**.rotary_emb.inv_freq",
    // Counters of batch norms; the two behind it are of those that were trained on several GPUs.
    "**.num_batches_tracked",
    "**._tmp_running_mean",
    "**._tmp_running_var",
    "**._running_iter",
];

/// Nothing is called otherwise.
pub const PLAIN: Naming = Naming { left_out: &[], in_front: &[], renames: &[], kernels: &[], foreign: &[] };

/// diffusers' `AutoencoderKL`, and its attention as diffusers named it before 0.14, when Stable Diffusion 1.5 was
/// published; some converters left the matrices of that attention as the kernels that CompVis' code has.
pub const VAE: Naming = Naming {
    renames: &[
        rename("*.mid_block.attentions.*.query.*", &["*.mid_block.attentions.*.to_q.*"]),
        rename("*.mid_block.attentions.*.key.*", &["*.mid_block.attentions.*.to_k.*"]),
        rename("*.mid_block.attentions.*.value.*", &["*.mid_block.attentions.*.to_v.*"]),
        rename("*.mid_block.attentions.*.proj_attn.*", &["*.mid_block.attentions.*.to_out.0.*"]),
    ],
    kernels: &["*.mid_block.attentions.*.*.weight", "*.mid_block.attentions.*.to_out.0.weight"],
    ..PLAIN
};

/// A text tower, alone or out of a whole CLIP, and OpenCLIP's, of Stable Diffusion 2.x in the original naming.
pub const CLIP_TEXT: Naming = Naming {
    renames: &[
        rename("token_embedding.*", &["text_model.embeddings.token_embedding.*"]),
        rename("positional_embedding", &["text_model.embeddings.position_embedding.weight"]),
        rename("ln_final.*", &["text_model.final_layer_norm.*"]),
        rename("transformer.resblocks.*.ln_1.*", &["text_model.encoder.layers.*.layer_norm1.*"]),
        rename("transformer.resblocks.*.attn.in_proj_weight", &IN_PROJ_WEIGHT),
        rename("transformer.resblocks.*.attn.in_proj_bias", &IN_PROJ_BIAS),
        rename(
            "transformer.resblocks.*.attn.out_proj.*",
            &["text_model.encoder.layers.*.self_attn.out_proj.*"],
        ),
        rename("transformer.resblocks.*.ln_2.*", &["text_model.encoder.layers.*.layer_norm2.*"]),
        rename("transformer.resblocks.*.mlp.c_fc.*", &["text_model.encoder.layers.*.mlp.fc1.*"]),
        rename("transformer.resblocks.*.mlp.c_proj.*", &["text_model.encoder.layers.*.mlp.fc2.*"]),
    ],
    foreign: &["vision_model.", "visual_projection.", "text_projection", "logit_scale"],
    ..PLAIN
};

const IN_PROJ_WEIGHT: [&str; 3] = [
    "text_model.encoder.layers.*.self_attn.q_proj.weight",
    "text_model.encoder.layers.*.self_attn.k_proj.weight",
    "text_model.encoder.layers.*.self_attn.v_proj.weight",
];

const IN_PROJ_BIAS: [&str; 3] = [
    "text_model.encoder.layers.*.self_attn.q_proj.bias",
    "text_model.encoder.layers.*.self_attn.k_proj.bias",
    "text_model.encoder.layers.*.self_attn.v_proj.bias",
];

/// A vision tower with its projection, alone or out of a whole CLIP.
pub const CLIP_VISION: Naming =
    Naming { foreign: &["text_model.", "text_projection.", "logit_scale"], ..PLAIN };

/// transformers' `ViTModel`, and the names of timm, with which facebookresearch published DINO.
pub const VIT: Naming = Naming {
    in_front: &["vit."],
    renames: &[
        rename("cls_token", &["embeddings.cls_token"]),
        rename("pos_embed", &["embeddings.position_embeddings"]),
        rename("patch_embed.proj.*", &["embeddings.patch_embeddings.projection.*"]),
        rename("blocks.*.norm1.*", &["encoder.layer.*.layernorm_before.*"]),
        rename(
            "blocks.*.attn.qkv.*",
            &[
                "encoder.layer.*.attention.attention.query.*",
                "encoder.layer.*.attention.attention.key.*",
                "encoder.layer.*.attention.attention.value.*",
            ],
        ),
        rename("blocks.*.attn.proj.*", &["encoder.layer.*.attention.output.dense.*"]),
        rename("blocks.*.norm2.*", &["encoder.layer.*.layernorm_after.*"]),
        rename("blocks.*.mlp.fc1.*", &["encoder.layer.*.intermediate.dense.*"]),
        rename("blocks.*.mlp.fc2.*", &["encoder.layer.*.output.dense.*"]),
        rename("norm.*", &["layernorm.*"]),
    ],
    foreign: &["pooler.", "classifier.", "head."],
    ..PLAIN
};

/// A ViT with its classifier.
pub const VIT_CLASSIFIER: Naming = Naming { foreign: &["pooler."], ..VIT };

/// A ControlNet, of which only the condition encoder is read, as diffusers names it.
pub const CONDITION_ENCODER: Naming =
    Naming { left_out: &["controlnet_cond_embedding."], foreign: &[""], ..PLAIN };

/// The same in the original ControlNet's layout.
pub const CONDITION_ENCODER_LDM: Naming = Naming { left_out: &["control_model."], foreign: &[""], ..PLAIN };

/// pytorch-fid's Inception-v3, without its classifier.
pub const INCEPTION: Naming = Naming { foreign: &["fc."], ..PLAIN };

/// An encoder of RoBERTa or BERT under a classifier's head: the heads of pretraining and poolers are left aside.
pub const CLASSIFIER: Naming = Naming {
    renames: &[
        rename("**.LayerNorm.gamma", &["**.LayerNorm.weight"]),
        rename("**.LayerNorm.beta", &["**.LayerNorm.bias"]),
    ],
    foreign: &["lm_head.", "cls.", "roberta.pooler.", "bert.pooler."],
    ..PLAIN
};

/// An encoder of RoBERTa or BERT by itself.
pub const ENCODER: Naming = Naming {
    left_out: &["roberta.", "bert."],
    foreign: &["lm_head.", "cls.", "roberta.pooler.", "bert.pooler.", "classifier."],
    ..CLASSIFIER
};

/// A LLaMA whose head is its table of tokens: files may hold it a second time.
pub const TIED_DECODER: Naming = Naming { foreign: &["lm_head."], ..PLAIN };

impl Rename {
    /// Our names for the file's tensor `name`, if this is about it.
    pub(super) fn apply(&self, name: &str) -> Option<Vec<String>> {
        let parts = captures(self.stored, name)?;
        let filled = |ours: &&str| {
            let mut parts = parts.iter();
            let fill = |piece| match piece {
                "*" | "**" => parts.next().expect("both patterns have as many"),
                word => word,
            };
            ours.split('.').map(fill).collect::<Vec<_>>().join(".")
        };
        Some(self.ours.iter().map(filled).collect())
    }
}

/// What `*` and a leading `**` stand for in `name`, if `pattern` is of it.
fn captures<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let mut found = Vec::new();
    let (pattern, name) = match pattern.strip_prefix("**.") {
        None => (pattern, name),
        Some(end) => {
            let count = end.split('.').count();
            let (start, _) = name.rmatch_indices('.').nth(count - 1)?;
            found.push(&name[..start]);
            (end, &name[start + 1..])
        }
    };
    if pattern.split('.').count() != name.split('.').count() {
        return None;
    }
    for (piece, part) in pattern.split('.').zip(name.split('.')) {
        match piece {
            "*" => found.push(part),
            word if word == part => {}
            _ => return None,
        }
    }
    Some(found)
}

pub(super) fn is_like(pattern: &str, name: &str) -> bool {
    captures(pattern, name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_whole_parts_and_any_beginning() {
        assert_eq!(captures("a.*.c", "a.b.c"), Some(vec!["b"]));
        assert_eq!(captures("**.b.*", "x.y.b.c"), Some(vec!["x.y", "c"]));
        for (pattern, name) in
            [("a.*.c", "a.b.d"), ("a.*", "a.b.c"), ("**.b.c", "b.c"), ("norm.*", "layernorm.weight")]
        {
            assert_eq!(captures(pattern, name), None, "{pattern} {name}");
        }
    }

    #[test]
    fn every_table_fills_as_many_places_as_it_takes() {
        let places = |pattern: &str| pattern.split('.').filter(|piece| piece.starts_with('*')).count();
        for naming in
            [PLAIN, VAE, CLIP_TEXT, CLIP_VISION, VIT, VIT_CLASSIFIER, CLASSIFIER, ENCODER, TIED_DECODER]
        {
            for rename in naming.renames {
                assert!(rename.ours.iter().all(|ours| places(ours) == places(rename.stored)), "{rename:?}");
            }
        }
    }
}
