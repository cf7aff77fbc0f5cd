"""The networks: plain Keras models without a loss."""

from keras_wmgm.networks.detail_critic import DetailCritic as DetailCritic
from keras_wmgm.networks.detail_unet import DetailUNet as DetailUNet
from keras_wmgm.networks.score_unet import ScoreUNet as ScoreUNet
