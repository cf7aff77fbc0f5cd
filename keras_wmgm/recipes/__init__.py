"""Recipes: training a model from images as `keras-wmgm train` does."""

from keras_wmgm.recipes.build import build_model as build_model
from keras_wmgm.recipes.build import build_optimizers as build_optimizers
from keras_wmgm.recipes.build import renew_rates as renew_rates
from keras_wmgm.recipes.build import tuning_optimizers as tuning_optimizers
from keras_wmgm.recipes.distill import can_be_distilled as can_be_distilled
from keras_wmgm.recipes.distill import distill_stages as distill_stages
from keras_wmgm.recipes.distill import distillation as distillation
from keras_wmgm.recipes.in_turn import stages_in_turn as stages_in_turn
from keras_wmgm.recipes.recipe import Recipe as Recipe
from keras_wmgm.recipes.recipe import Stage as Stage
from keras_wmgm.recipes.recipe import read_recipe as read_recipe
from keras_wmgm.recipes.train import read_run as read_run
from keras_wmgm.recipes.train import start_run as start_run
from keras_wmgm.recipes.train import train as train
from keras_wmgm.recipes.train import write_run as write_run
from keras_wmgm.recipes.transfer import keep_start as keep_start
from keras_wmgm.recipes.transfer import shared_bands as shared_bands
from keras_wmgm.recipes.transfer import transfer as transfer
