//! Configs of diffusers' networks and schedulers, and of what stands beside them.

use serde_json::{Map, Value};

use crate::config::{Config, Others, bounded, depth, each_bounded, matrix, multiple, positive_number, shown};
use crate::control::ConditionEncoderConfig;
use crate::scheduler::{PredictionType, ScheduleConfig};
use crate::unet::UNetConfig;
use crate::upernet::UPerNetConfig;
use crate::vae::VaeConfig;

const NULL: &[&str] = &["null"];
const OFF: &[&str] = &["false", "null"];
/// diffusers has two names for one function.
const SILU: &[&str] = &["\"silu\"", "\"swish\""];

impl Config for UNetConfig {
    const OTHERS: Others = Others {
        ignored: &[
            // Sizes of parts that `addition_embed_type` would switch on.
            &["addition_embed_type_num_heads"],
            // It concerns attention that is written out; the fused kernel, diffusers' own default, adds in f32 anyway.
            &["upcast_attention"],
        ],
        only: &[&[
            (
                "addition_embed_type addition_time_embed_dim class_embed_type cross_attention_norm \
                encoder_hid_dim encoder_hid_dim_type num_attention_heads num_class_embeds \
                projection_class_embeddings_input_dim reverse_transformer_layers_per_block \
                time_cond_proj_dim time_embedding_act_fn time_embedding_dim timestep_post_act",
                NULL,
            ),
            (
                "center_input_sample class_embeddings_concat dual_cross_attention \
                mid_block_only_cross_attention only_cross_attention resnet_skip_time_act",
                OFF,
            ),
            ("act_fn", SILU),
            ("attention_type resnet_time_scale_shift", &["\"default\""]),
            ("conv_in_kernel conv_out_kernel", &["3"]),
            (
                "downsample_padding mid_block_scale_factor resnet_out_scale_factor \
                transformer_layers_per_block",
                &["1"],
            ),
            ("dropout freq_shift", &["0"]),
            ("flip_sin_to_cos", &["true"]),
            ("mid_block_type", &["\"UNetMidBlock2DCrossAttn\""]),
            ("time_embedding_type", &["\"positional\""]),
        ]],
    };

    fn check(&self) -> Result<(), String> {
        let UNetConfig { block_out_channels: channels, down_block_types, up_block_types, .. } = self;
        levels(channels, [("down_block_types", down_block_types), ("up_block_types", up_block_types)])?;
        block_types("down_block_types", down_block_types, &["CrossAttnDownBlock2D", "DownBlock2D"])?;
        block_types("up_block_types", up_block_types, &["CrossAttnUpBlock2D", "UpBlock2D"])?;
        depth("layers_per_block", self.layers_per_block)?;
        bounded([
            ("sample_size", self.sample_size),
            ("in_channels", self.in_channels),
            ("cross_attention_dim", self.cross_attention_dim),
        ])?;
        if self.out_channels != self.in_channels {
            let (outputs, inputs) = (self.out_channels, self.in_channels);
            return Err(format!(
                "`out_channels` is {outputs}; supported is `in_channels`, {inputs}, as the noise has the picture's channels"
            ));
        }
        groups(channels, self.norm_num_groups)?;
        for &width in channels {
            matrix(("cross_attention_dim", self.cross_attention_dim), ("block_out_channels", width))?;
            matrix(("in_channels", self.in_channels), ("block_out_channels", 9 * width))?;
        }
        // Half of the time's features are cosines.
        multiple(("block_out_channels[0]", channels[0]), ("2, of cosines and sines,", 2))?;
        self.attention_head_dim.check(channels.len())?;
        let attends = |level: &usize| {
            let is_attending = |kind: &String| kind.starts_with("CrossAttn");
            let is_last = level + 1 == channels.len();
            is_last
                || is_attending(&down_block_types[*level])
                || is_attending(&up_block_types[channels.len() - 1 - level])
        };
        for level in (0..channels.len()).filter(attends) {
            let heads = ("attention_head_dim", self.attention_head_dim.at(level));
            multiple(("block_out_channels", channels[level]), heads)?;
        }
        positive_number("norm_eps", self.norm_eps)
    }
}

impl Config for VaeConfig {
    const OTHERS: Others = Others {
        ignored: &[
            // What pictures the network was trained on; it takes others too.
            &["sample_size"],
            // It matters in half precision alone; the network is computed in f32.
            &["force_upcast"],
            // Read with the levels.
            &["down_block_types up_block_types"],
        ],
        only: &[&[
            ("latents_mean latents_std", NULL),
            ("act_fn", SILU),
            ("mid_block_add_attention use_post_quant_conv use_quant_conv", &["true"]),
            ("shift_factor", &["null", "0"]),
        ]],
    };

    fn check_file(file: &Map<String, Value>) -> Result<(), String> {
        let count = |key| file.get(key).and_then(Value::as_array).map(Vec::len);
        for (key, kind) in
            [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")]
        {
            let Some(found) = file.get(key) else { continue };
            let is_right = found.as_array().is_some_and(|kinds| kinds.iter().all(|one| one == kind));
            if !is_right || count(key) != count("block_out_channels") {
                return Err(format!(
                    "`{key}` is {}; supported is `{kind}` as many times as `block_out_channels` has entries",
                    shown(found)
                ));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        levels(&self.block_out_channels, [])?;
        groups(&self.block_out_channels, self.norm_num_groups)?;
        depth("layers_per_block", self.layers_per_block)?;
        bounded([
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("latent_channels", self.latent_channels),
        ])?;
        positive_number("scaling_factor", self.scaling_factor)
    }
}

impl Config for ScheduleConfig {
    const OTHERS: Others = Others {
        ignored: &[
            // They are settings of samplers that are not used here: an experiment's `sampling` says which one draws.
            &["skip_prk_steps interpolation_type timestep_type use_lu_lambdas lambda_min_clipped"],
            // They are settings of noise that is added while drawing; both samplers here add none.
            &["variance_type"],
            // Used with `clip_sample`, `thresholding` and flow matching alone, which are refused.
            &["clip_sample_range dynamic_thresholding_ratio sample_max_value flow_shift"],
        ],
        only: &[&[
            (
                "clip_sample euler_at_final thresholding use_beta_sigmas use_exponential_sigmas \
                use_flow_sigmas use_karras_sigmas",
                OFF,
            ),
            ("trained_betas", NULL),
            ("algorithm_type", &["\"dpmsolver++\""]),
            ("final_sigmas_type", &["\"sigma_min\"", "\"zero\""]),
            ("lower_order_final", &["true"]),
            ("set_alpha_to_one", &["false"]),
            ("solver_order", &["2"]),
            ("solver_type", &["\"midpoint\""]),
            ("steps_offset", &["1"]),
        ]],
    };

    fn check(&self) -> Result<(), String> {
        let timesteps = i64::try_from(self.num_train_timesteps).unwrap_or(i64::MAX);
        bounded([("num_train_timesteps", timesteps)])?;
        let (start, end) = (self.beta_start, self.beta_end);
        if !(0.0 < start && start <= end && end < 1.0) {
            let right = "betas are above 0, below 1, and rise";
            return Err(format!("`beta_start` is {start} and `beta_end` {end}; {right}"));
        }
        if self.rescale_betas_zero_snr && self.prediction_type == PredictionType::Epsilon {
            return Err("`rescale_betas_zero_snr` is true and `prediction_type` epsilon: from noise alone, as the last timestep then \
                has, its prediction gives no picture; supported is v_prediction"
                .to_owned());
        }
        if self.rescale_betas_zero_snr && timesteps < 2 {
            return Err(format!(
                "`num_train_timesteps` is {timesteps}; with `rescale_betas_zero_snr` two are the least"
            ));
        }
        Ok(())
    }
}

impl Config for ConditionEncoderConfig {
    const OTHERS: Others = Others {
        // They describe the ControlNet behind its condition encoder, and only the encoder is used.
        ignored: &[&["act_fn addition_embed_type addition_embed_type_num_heads addition_time_embed_dim \
            attention_head_dim class_embed_type cross_attention_dim down_block_types downsample_padding \
            encoder_hid_dim encoder_hid_dim_type flip_sin_to_cos freq_shift global_pool_conditions \
            in_channels layers_per_block mid_block_scale_factor mid_block_type norm_eps norm_num_groups \
            num_attention_heads num_class_embeds only_cross_attention \
            projection_class_embeddings_input_dim resnet_time_scale_shift transformer_layers_per_block \
            upcast_attention use_linear_projection"]],
        only: &[&[("controlnet_conditioning_channel_order", &["\"rgb\""])]],
    };

    fn check(&self) -> Result<(), String> {
        crate::control::ConditionEncoder::new(self).map(drop).map_err(|error| error.to_string())
    }
}

impl Config for UPerNetConfig {
    const OTHERS: Others = Others { ignored: &[], only: &[] };

    fn check(&self) -> Result<(), String> {
        self.checked().map_err(|error| error.to_string())
    }
}

/// Refuses lists of levels that are not as long as the list of widths, and a network without a level.
fn levels<const N: usize>(channels: &[i64], kinds: [(&str, &[String]); N]) -> Result<(), String> {
    if channels.is_empty() {
        return Err("`block_out_channels` is empty; it has a width for each level".to_owned());
    }
    let widths: Vec<_> = channels.iter().map(|&width| ("block_out_channels", width)).collect();
    each_bounded(&widths)?;
    for (key, width) in widths {
        // A convolution of 3 × 3 over a level's features and as many that it is handed.
        matrix((key, width), ("18 times itself", 18 * width))?;
    }
    match kinds.into_iter().find(|(_, kinds)| kinds.len() != channels.len()) {
        Some((key, kinds)) => {
            Err(format!("`{key}` has {} entries and `block_out_channels` {}", kinds.len(), channels.len()))
        }
        None => Ok(()),
    }
}

fn block_types(key: &str, found: &[String], known: &[&str]) -> Result<(), String> {
    match found.iter().find(|kind| !known.contains(&kind.as_str())) {
        Some(kind) => Err(format!("`{key}` has `{kind}`; supported are {}", known.join(" and "))),
        None => Ok(()),
    }
}

fn groups(channels: &[i64], groups: i64) -> Result<(), String> {
    let groups = ("norm_num_groups", groups);
    channels.iter().try_for_each(|&width| multiple(("block_out_channels", width), groups))
}
