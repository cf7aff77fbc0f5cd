"""The diffusion process, its grids and its samplers."""

from keras_wmgm.diffusion.grids import GRIDS as GRIDS
from keras_wmgm.diffusion.grids import karras_grid as karras_grid
from keras_wmgm.diffusion.grids import log_snr_grid as log_snr_grid
from keras_wmgm.diffusion.grids import quadratic_grid as quadratic_grid
from keras_wmgm.diffusion.grids import uniform_grid as uniform_grid
from keras_wmgm.diffusion.process import denoised as denoised
from keras_wmgm.diffusion.process import diffuse as diffuse
from keras_wmgm.diffusion.process import log_snr_at as log_snr_at
from keras_wmgm.diffusion.process import score as score
from keras_wmgm.diffusion.process import time_at as time_at
from keras_wmgm.diffusion.process import velocity as velocity
from keras_wmgm.diffusion.samplers import SAMPLERS as SAMPLERS
from keras_wmgm.diffusion.samplers import ddim as ddim
from keras_wmgm.diffusion.samplers import ddpm_fixed_large as ddpm_fixed_large
from keras_wmgm.diffusion.samplers import ddpm_fixed_small as ddpm_fixed_small
from keras_wmgm.diffusion.samplers import dpm_solver_2m as dpm_solver_2m
from keras_wmgm.diffusion.samplers import euler_maruyama as euler_maruyama
from keras_wmgm.diffusion.samplers import sampler as sampler
