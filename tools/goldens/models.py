"""Golden files for `crates/models`: tiny networks of diffusers and transformers, and what they compute.

Each case is a folder `crates/models/tests/golden/<name>/` with the library's own `config.json` and weight
file (its own key names), and `io.safetensors` with inputs and outputs. Every parameter is random, norms and
biases included, so that nothing is 1 or 0 by default. `schedulers/io.safetensors` holds noise schedules
and sampling trajectories under a fake network.
"""

import re
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    PNDMScheduler,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    ViTConfig,
    ViTModel,
)

GOLDEN = Path(__file__).resolve().parents[2] / "crates" / "models" / "tests" / "golden"
# Stable Diffusion 1.5's noise schedule.
SCHEDULE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)


# What writes to a residual stream. It is made small, so that a wrong eps in the norms that read it shows.
STREAM = re.compile(
    r"(conv_in|conv2|proj_in|to_out\.0|ff\.net\.2|embeddings|pre_layrnorm|out_proj|fc2|output\.dense)\b"
    r"|(conv_shortcut|proj_out|samplers\.0\.conv)\.bias"
)
STREAM_SCALE = 0.02


def randomize(model, seed, stream=STREAM):
    """Replace every parameter: matrices by fan-in-scaled normals, norm weights near 1, biases near 0.

    Those whose name `stream` finds are made small.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() >= 2:
            value = noise / parameter[0].numel() ** 0.5
        elif name.endswith("weight"):
            value = 1.0 + 0.3 * noise
        else:
            value = 0.2 * noise
        parameter.data.copy_(value * STREAM_SCALE if stream.search(name) else value)
    return model.eval()


def save(name, model, tensors):
    model.save_pretrained(GOLDEN / name, safe_serialization=True)
    save_io(name, tensors)
    size = sum(p.numel() for p in model.parameters())
    print(f"{name}: {size} parameters in {len(model.state_dict())} tensors")


def save_io(name, tensors):
    folder = GOLDEN / name
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / "io.safetensors")


def unet(name, seed, channels, layers, attention, sample_shape, **settings):
    """Stable Diffusion 1.5's layout, but for `settings`; `attention` says of each level whether it has cross attention."""
    down = ["CrossAttnDownBlock2D" if has else "DownBlock2D" for has in attention]
    up = ["CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attention)]
    model = UNet2DConditionModel(
        sample_size=sample_shape[-1],
        block_out_channels=channels,
        down_block_types=down,
        up_block_types=up,
        layers_per_block=layers,
        cross_attention_dim=12,
        **dict(norm_num_groups=4, attention_head_dim=2) | settings,
    )
    randomize(model, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    sample = torch.randn(sample_shape, generator=generator)
    context = torch.randn(sample_shape[0], 5, 12, generator=generator)
    timesteps = torch.tensor([17, 903])
    with torch.enable_grad():
        inputs = [sample.clone().requires_grad_(), context.clone().requires_grad_()]
        output = model(inputs[0], timesteps, encoder_hidden_states=inputs[1]).sample
        # Half the squared norm: finetuning sends gradients through the frozen network.
        gradients = torch.autograd.grad(0.5 * output.square().sum(), inputs)
    tensors = dict(sample=sample, timesteps=timesteps, context=context, output=output)
    tensors |= dict(sample_gradient=gradients[0], context_gradient=gradients[1])
    save(name, model, tensors)


def vae(name, seed, channels):
    levels = len(channels)
    model = AutoencoderKL(
        block_out_channels=channels,
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
    )
    randomize(model, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    image = torch.randn(2, 3, 16, 24, generator=generator)
    posterior = model.encode(image).latent_dist
    latent = torch.randn(posterior.mean.shape, generator=generator)
    decoded = model.decode(latent).sample
    save(
        name,
        model,
        dict(image=image, mean=posterior.mean, logvar=posterior.logvar, latent=latent, decoded=decoded),
    )


def clip_text_config(eos_token_id, hidden_act="quick_gelu"):
    """Captions start with token 38 and end with `eos_token_id`, which also pads."""
    return CLIPTextConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=9,
        hidden_act=hidden_act,
        bos_token_id=38,
        eos_token_id=eos_token_id,
    )


def clip_vision_config():
    return CLIPVisionConfig(
        hidden_size=20,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=5,
        projection_dim=6,
        image_size=12,
        patch_size=4,
        hidden_act="quick_gelu",
    )


def captions(end):
    """A short caption padded with the end token, and one that fills every position."""
    return torch.tensor([[38, 5, 17, 3, end, end, end, end, end], [38, 9, 37, 0, 31, 22, 14, 7, end]])


def clip_text(name, seed):
    """With `eos_token_id` 2, as in Stable Diffusion's own config, where the pooled token is the highest id."""
    model = randomize(CLIPTextModel(clip_text_config(2)), seed)
    ids = captions(39)
    output = model(ids)
    save(name, model, dict(ids=ids, hidden=output.last_hidden_state, pooled=output.pooler_output))


def clip_vision(name, seed):
    model = randomize(CLIPVisionModelWithProjection(clip_vision_config()), seed)
    image = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(seed + 1))
    save(name, model, dict(image=image, image_embeds=model(image).image_embeds))


def clip(name, seed):
    """Both towers; the end token is not the highest id, so it has to be searched for."""
    config = CLIPConfig(
        text_config=clip_text_config(30).to_dict(),
        vision_config=clip_vision_config().to_dict(),
        projection_dim=6,
    )
    model = randomize(CLIPModel(config), seed)
    ids = captions(30)
    image = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(seed + 1))
    tensors = dict(ids=ids, image=image, scale=model.logit_scale.exp())
    tensors["text_embeds"] = model.get_text_features(ids)
    tensors["image_embeds"] = model.get_image_features(image)
    save(name, model, tensors)


def vit(name, seed):
    config = ViTConfig(
        hidden_size=12,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=3,
        image_size=16,
        patch_size=4,
        layer_norm_eps=1e-12,
        qkv_bias=True,
    )
    model = randomize(ViTModel(config, add_pooling_layer=False), seed)
    image = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed + 1))
    save(name, model, dict(image=image, hidden=model(image).last_hidden_state))


def pickled(name):
    """The weights of `vit` as PyTorch saves them: a state dict with metadata, one tensor with its axes swapped."""
    state = ViTModel.from_pretrained(GOLDEN / "vit", add_pooling_layer=False).state_dict()
    swapped = "encoder.layer.0.attention.attention.key.weight"
    state[swapped] = state[swapped].t().contiguous().t()
    (GOLDEN / name).mkdir(exist_ok=True)
    torch.save(state, GOLDEN / name / "pytorch_model.bin")


def fake_noise_prediction(sample, timestep):
    """Stands for a network: smooth in the sample and different at every step."""
    return 0.3 * sample + 0.1 * torch.sin(torch.tensor(float(timestep)))


def trajectory(scheduler, num_steps, start):
    """Samples after every step, first axis the step; and the timesteps the network was asked at."""
    scheduler.set_timesteps(num_steps)
    sample, samples = start, []
    for timestep in scheduler.timesteps:
        prediction = fake_noise_prediction(sample, timestep)
        sample = scheduler.step(prediction, timestep, sample).prev_sample
        samples.append(sample)
    return scheduler.timesteps, torch.stack(samples)


def schedulers(seed):
    generator = torch.Generator().manual_seed(seed)
    start = 0.3 * torch.randn(2, 3, 2, 4, generator=generator)
    noise = torch.randn(2, 3, 2, 4, generator=generator)
    timesteps = torch.tensor([3, 740])
    ddpm = DDPMScheduler(**SCHEDULE, clip_sample=False)
    tensors = dict(
        start=start,
        noise=noise,
        add_noise_timesteps=timesteps,
        add_noise=ddpm.add_noise(start, noise, timesteps),
        alphas_cumprod=ddpm.alphas_cumprod,
    )
    ddim = dict(clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    pndm = dict(set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1)
    for num_steps in (10, 25):
        samplers = {
            "ddim": DDIMScheduler(**SCHEDULE, **ddim),
            # As diffusers 0.17.1, which the reference code used: the last target is t = 0.
            "dpm_sigma_min": DPMSolverMultistepScheduler(**SCHEDULE, final_sigmas_type="sigma_min"),
            "pndm": PNDMScheduler(**SCHEDULE, **pndm),
            "dpm_zero": DPMSolverMultistepScheduler(**SCHEDULE, final_sigmas_type="zero"),
        }
        # Stable Diffusion 2.1's prediction, alone and with nothing but noise at the last timestep, from which steps are even.
        velocity = dict(prediction_type="v_prediction")
        to_noise = velocity | dict(rescale_betas_zero_snr=True, timestep_spacing="trailing")
        for kind, settings in dict(velocity=velocity, to_noise=to_noise).items():
            samplers |= {
                f"ddim_{kind}": DDIMScheduler(**SCHEDULE, **ddim, **settings),
                f"dpm_{kind}": DPMSolverMultistepScheduler(**SCHEDULE, **settings, final_sigmas_type="sigma_min"),
            }
        trailing = velocity | dict(timestep_spacing="trailing")
        for kind, settings in dict(velocity=velocity, trailing=trailing).items():
            samplers[f"pndm_{kind}"] = PNDMScheduler(**SCHEDULE, **pndm, **settings)
        for name, sampler in samplers.items():
            asked, samples = trajectory(sampler, num_steps, start)
            tensors[f"{name}_{num_steps}.timesteps"] = asked
            tensors[f"{name}_{num_steps}.samples"] = samples
    velocity = DDPMScheduler(**SCHEDULE, prediction_type="v_prediction", rescale_betas_zero_snr=True)
    tensors |= dict(
        to_noise_add_noise=velocity.add_noise(start, noise, timesteps),
        to_noise_velocity=velocity.get_velocity(start, noise, timesteps),
        to_noise_alphas_cumprod=velocity.alphas_cumprod,
    )
    save_io("schedulers", tensors)


# Beginnings of names in the original layout, and diffusers' for them.
RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
VAE = {
    "conv_norm_out": "norm_out",
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0.group_norm": "mid.attn_1.norm",
    "mid_block.attentions.0.to_q": "mid.attn_1.q",
    "mid_block.attentions.0.to_k": "mid.attn_1.k",
    "mid_block.attentions.0.to_v": "mid.attn_1.v",
    "mid_block.attentions.0.to_out.0": "mid.attn_1.proj_out",
}
OPENCLIP = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def replaced(name, names):
    return next((theirs + name[len(ours) :] for ours, theirs in names.items() if name.startswith(ours + ".")), name)


def original_unet_name(name, config):
    """The original layout's name of a denoiser's tensor."""
    layers = config.layers_per_block
    match = re.fullmatch(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)", name)
    if not match:
        new = replaced(name, ENDS)
        return new if "attentions" in name or new.startswith(("input", "time", "out")) else resnet_end(new)
    way, level, kind, layer, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    if way == "down":
        index = 1 + level * (layers + 1) + (layers if kind == "downsamplers" else layer)
        part, rest = (0, rest.replace("conv.", "op.")) if kind == "downsamplers" else (kind == "attentions", rest)
        block = f"input_blocks.{index}"
    else:
        block = f"output_blocks.{level * (layers + 1) + (layers if kind == 'upsamplers' else layer)}"
        attends = config.up_block_types[level].startswith("CrossAttn")
        part = dict(resnets=0, attentions=1, upsamplers=1 + attends)[kind]
    return f"{block}.{int(part)}.{replaced(rest, RESIDUAL) if kind == 'resnets' else rest}"


def resnet_end(name):
    start, number, rest = name.split(".", 2)
    return f"{start}.{number}.{replaced(rest, RESIDUAL)}"


def original_vae_name(name, levels):
    half, _, rest = name.partition(".")
    if half not in ("encoder", "decoder"):
        return name
    rest = replaced(rest, VAE).replace("conv_shortcut", "nin_shortcut")
    rest = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", rest)
    rest = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", rest)
    up = lambda end: lambda match: f"up.{levels - 1 - int(match[1])}.{end}"
    rest = re.sub(r"up_blocks\.(\d+)\.resnets", up("block"), rest)
    rest = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", up("upsample"), rest)
    return f"{half}.{rest}"


def openclip(state, layers):
    """A text tower in OpenCLIP's names, with one layer more than Stable Diffusion 2 uses."""
    found = {
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "ln_final.weight": state["text_model.final_layer_norm.weight"],
        "ln_final.bias": state["text_model.final_layer_norm.bias"],
        "logit_scale": torch.tensor(1.0),
    }
    found["text_projection"] = torch.eye(found["ln_final.bias"].numel())
    for layer in range(layers + 1):
        own = f"text_model.encoder.layers.{min(layer, layers - 1)}."
        for end in ("weight", "bias"):
            joined = [state[f"{own}self_attn.{part}_proj.{end}"] for part in "qkv"]
            found[f"transformer.resblocks.{layer}.attn.in_proj_{end}"] = torch.cat(joined)
        for name, value in state.items():
            part = name.removeprefix(own)
            if part != name and not re.match(r"self_attn\.[qkv]_proj", part):
                found[f"transformer.resblocks.{layer}.{replaced(part, OPENCLIP)}"] = value
    return found


def single_file(name, version):
    """A whole tiny checkpoint in the original layout, beside diffusers' folders with configs alone, and what it computes.

    diffusers' own readers of such files have to give back what was written.
    """
    from diffusers.loaders.single_file_utils import (
        convert_ldm_unet_checkpoint,
        convert_ldm_vae_checkpoint,
        convert_open_clip_checkpoint,
    )

    if version == 1:
        settings = dict(layers_per_block=2, attention_head_dim=2)
    else:
        settings = dict(layers_per_block=1, attention_head_dim=[2, 4], use_linear_projection=True)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=[4, 8],
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
        norm_num_groups=2,
        cross_attention_dim=16,
        **settings,
    )
    vae = AutoencoderKL(
        block_out_channels=[4, 8],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
    )
    text = CLIPTextModel(clip_text_config(2, "quick_gelu" if version == 1 else "gelu"))
    for index, model in enumerate((unet, vae, text)):
        randomize(model, 200 + 10 * version + index)
    parts = {"model.diffusion_model.": {original_unet_name(n, unet.config): v for n, v in unet.state_dict().items()}}
    parts["first_stage_model."] = {original_vae_name(n, 2): v for n, v in vae.state_dict().items()}
    for key, value in parts["first_stage_model."].items():
        if re.search(r"attn_1\.(q|k|v|proj_out)\.weight", key):
            parts["first_stage_model."][key] = value[:, :, None, None]
    layers = text.config.num_hidden_layers
    if version == 1:
        parts["cond_stage_model.transformer."] = text.state_dict()
    else:
        parts["cond_stage_model.model."] = openclip(text.state_dict(), layers)
    whole = {start + key: value.clone() for start, part in parts.items() for key, value in part.items()}
    # What finetunes carry besides.
    whole |= {"model_ema.decay": torch.tensor(0.5), "betas": torch.zeros(3)}

    def assert_equal(found, model):
        expected = model.state_dict()
        assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
        for key, value in expected.items():
            assert torch.equal(found[key].reshape(value.shape), value), key

    assert_equal(convert_ldm_unet_checkpoint(dict(whole), dict(unet.config)), unet)
    assert_equal(convert_ldm_vae_checkpoint(dict(whole), dict(vae.config)), vae)
    if version == 2:
        converted = convert_open_clip_checkpoint(text, dict(whole), prefix="cond_stage_model.model.")
        assert_equal({key: value for key, value in converted.items() if key in text.state_dict()}, text)

    generator = torch.Generator().manual_seed(300 + version)
    sample = torch.randn(2, 4, 8, 8, generator=generator)
    timesteps = torch.tensor([17, 903])
    ids = captions(39)
    context = text(ids).last_hidden_state
    output = unet(sample, timesteps, encoder_hidden_states=context).sample
    io = dict(sample=sample, timesteps=timesteps, ids=ids, context=context, output=output)
    save_io(name, io | dict(decoded=vae.decode(sample).sample))
    folder = GOLDEN / name
    for part, model in dict(unet=unet, vae=vae, text_encoder=text).items():
        (folder / part).mkdir(exist_ok=True)
        (folder / part / "config.json").write_text(model.config.to_json_string() if part == "text_encoder" else model.to_json_string())
    prediction = "epsilon" if version == 1 else "v_prediction"
    DDIMScheduler(
        **SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type=prediction
    ).save_pretrained(folder / "scheduler")
    save_file(whole, folder / "model.safetensors")
    print(f"{name}: {len(whole)} tensors")


def main():
    torch.set_num_threads(1)
    with torch.no_grad():
        unet("unet_three_levels", 10, [8, 16, 16], 1, [True, True, False], (2, 4, 8, 12))
        unet("unet_four_levels", 20, [4, 8, 12, 12], 2, [True, True, True, False], (2, 4, 16, 8))
        # Stable Diffusion 2.1's layout: the number of heads differs from level to level.
        # A group of one channel would hide the timestep, which moves whole channels.
        settings = dict(norm_num_groups=2, attention_head_dim=[2, 4, 1], use_linear_projection=True)
        unet("unet_linear", 100, [4, 8, 4], 2, [True, True, False], (2, 4, 8, 12), **settings)
        vae("vae_two_levels", 30, [8, 16])
        vae("vae_three_levels", 40, [4, 8, 8])
        clip_text("clip_text", 50)
        clip("clip", 60)
        clip_vision("clip_vision", 70)
        vit("vit", 80)
        schedulers(90)
        pickled("pickled")
        for version in (1, 2):
            single_file(f"single_file_{version}", version)


if __name__ == "__main__":
    main()
