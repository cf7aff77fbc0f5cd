"""Other packages, each set up as its own documentation shows.

A function takes a folder of images, their size and a `Clock`, trains until the
time is up, and returns a function that draws, the network that does, and the
number of steps.
"""

import time
from collections.abc import Callable

import numpy as np

import keras_wmgm

DDIM_STEPS = 25
BATCH = 16


class Clock:
    """How much of some minutes has passed since the first question."""

    def __init__(self, minutes: float):
        self.seconds, self.began = 60 * minutes, None

    @property
    def passed(self) -> float:
        self.began = self.began or time.perf_counter()
        return (time.perf_counter() - self.began) / self.seconds

    @property
    def is_up(self) -> bool:
        return self.passed > 1


def denoising_diffusion_pytorch(folder, size, clock):
    """Train with the package's own `Trainer`."""
    import denoising_diffusion_pytorch as package

    network = package.Unet(dim=32, dim_mults=(1, 2, 4), flash_attn=False)
    diffusion = package.GaussianDiffusion(
        network, image_size=size, sampling_timesteps=DDIM_STEPS
    )
    trainer = package.Trainer(
        diffusion,
        str(folder),
        train_batch_size=BATCH,
        train_lr=3e-4,
        train_num_steps=10**9,
        save_and_sample_every=10**9,
        calculate_fid=False,
        results_folder=str(folder.parent / "results"),
    )
    update = trainer.ema.update

    def update_until_time_is_up():
        update()
        if clock.is_up:
            trainer.train_num_steps = trainer.step

    trainer.ema.update = update_until_time_is_up
    trainer.train()
    model = trainer.ema.ema_model.eval()
    return lambda n: model.sample(batch_size=n), network, trainer.step


def lightweight_gan(folder, size, clock):
    """Train with the package's own `Trainer`, on a CPU as on its GPU."""
    import torch

    with _cuda_is_the_cpu(torch):
        from lightweight_gan import lightweight_gan as package

        package.torch = _CPUTorch(torch)  # for the rest of the process
        trainer = package.Trainer(
            base_dir=str(folder.parent),
            image_size=size,
            batch_size=BATCH,
            attn_res_layers=[32],
            disc_output_size=1,
            num_workers=0,
            use_aim=False,
        )
        trainer.set_data_src(str(folder))
        trainer.save = trainer.evaluate = lambda *args, **kwargs: None
        while not clock.is_up:
            trainer.train()
    gan = trainer.GAN.eval()
    # Its average begins after 20,000 steps.
    generator = gan.GE if trainer.steps > 20_000 else gan.G

    def sample(count):
        return generator(torch.randn(count, gan.latent_dim)).clamp(0, 1)

    return sample, generator, trainer.steps


class _CPUTorch:
    """PyTorch with one device."""

    def __init__(self, torch):
        self._torch = torch

    def __getattr__(self, name):
        return getattr(self._torch, name)

    def device(self, name):
        return self._torch.device("cpu")


def _cuda_is_the_cpu(torch):
    """Let code that asks for a GPU find the CPU."""
    from contextlib import ExitStack
    from unittest import mock

    def stay(self, *args, **kwargs):
        return self

    stack = ExitStack()
    for target, name, value in (
        (torch.cuda, "is_available", lambda: True),
        (torch.Tensor, "cuda", stay),
        (torch.nn.Module, "cuda", stay),
    ):
        stack.enter_context(mock.patch.object(target, name, value))
    return stack


def diffusers(folder, size, clock):
    """Train as the package's tutorial on unconditional generation does."""
    import torch
    from diffusers import DDIMScheduler
    from diffusers import DDPMScheduler
    from diffusers import UNet2DModel
    from diffusers.training_utils import EMAModel

    network = UNet2DModel(
        sample_size=size,
        layers_per_block=1,
        block_out_channels=(32, 64, 128, 128),
        norm_num_groups=16,
        down_block_types=("DownBlock2D",) * 3 + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * 3,
    )
    noises = DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4)
    ema = EMAModel(network.parameters(), decay=0.999, use_ema_warmup=True)
    batches, steps = _batches(folder, size), 0
    while not clock.is_up:
        rate = 3e-4 * min(1, steps / 100) * np.cos(np.pi / 2 * clock.passed)
        for group in optimizer.param_groups:
            group["lr"] = max(0.0, rate)
        clean = torch.from_numpy(next(batches))
        noise = torch.randn_like(clean)
        times = torch.randint(0, 1000, (len(clean),))
        guess = network(noises.add_noise(clean, noise, times), times).sample
        torch.nn.functional.mse_loss(guess, noise).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.step(network.parameters())
        steps += 1
    ema.copy_to(network.parameters())
    network.eval()
    grid = DDIMScheduler.from_config(noises.config)
    grid.set_timesteps(DDIM_STEPS)

    def sample(count):
        x = torch.randn(count, 3, size, size)
        for t in grid.timesteps:
            x = grid.step(network(x, t).sample, t, x).prev_sample
        return (x / 2 + 0.5).clamp(0, 1)

    return sample, network, steps


def _batches(folder, size):
    """Yield float32 batches in [-1, 1], channels first, mirrored at random."""
    images = keras_wmgm.data.load_images(folder, size)
    random = np.random.default_rng(0)
    while True:
        chosen = images[random.integers(0, len(images), BATCH)]
        mirrored = random.random((BATCH, 1, 1, 1)) < 0.5
        chosen = np.where(mirrored, chosen[:, :, ::-1], chosen)
        yield chosen.transpose(0, 3, 1, 2).astype("float32") / 127.5 - 1


PEERS: dict[str, Callable] = {
    "denoising-diffusion-pytorch": denoising_diffusion_pytorch,
    "lightweight-gan": lightweight_gan,
    "diffusers": diffusers,
}
