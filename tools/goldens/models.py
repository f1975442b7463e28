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


def unet(name, seed, channels, layers, attention, sample_shape):
    """Stable Diffusion 1.5's layout; `attention` says of each level whether it has cross attention."""
    down = ["CrossAttnDownBlock2D" if has else "DownBlock2D" for has in attention]
    up = ["CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attention)]
    model = UNet2DConditionModel(
        sample_size=sample_shape[-1],
        block_out_channels=channels,
        down_block_types=down,
        up_block_types=up,
        layers_per_block=layers,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=12,
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


def clip_text_config(eos_token_id):
    """Captions start with token 38 and end with `eos_token_id`, which also pads."""
    return CLIPTextConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=9,
        hidden_act="quick_gelu",
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
    for num_steps in (10, 25):
        samplers = {
            "ddim": DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
            # As diffusers 0.17.1, which the reference code used: the last target is t = 0.
            "dpm_sigma_min": DPMSolverMultistepScheduler(**SCHEDULE, final_sigmas_type="sigma_min"),
            "pndm": PNDMScheduler(**SCHEDULE, set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1),
            "dpm_zero": DPMSolverMultistepScheduler(**SCHEDULE, final_sigmas_type="zero"),
        }
        for name, sampler in samplers.items():
            asked, samples = trajectory(sampler, num_steps, start)
            tensors[f"{name}_{num_steps}.timesteps"] = asked
            tensors[f"{name}_{num_steps}.samples"] = samples
    save_io("schedulers", tensors)


def main():
    torch.set_num_threads(1)
    with torch.no_grad():
        unet("unet_three_levels", 10, [8, 16, 16], 1, [True, True, False], (2, 4, 8, 12))
        unet("unet_four_levels", 20, [4, 8, 12, 12], 2, [True, True, True, False], (2, 4, 16, 8))
        vae("vae_two_levels", 30, [8, 16])
        vae("vae_three_levels", 40, [4, 8, 8])
        clip_text("clip_text", 50)
        clip("clip", 60)
        clip_vision("clip_vision", 70)
        vit("vit", 80)
        schedulers(90)
        pickled("pickled")


if __name__ == "__main__":
    main()
