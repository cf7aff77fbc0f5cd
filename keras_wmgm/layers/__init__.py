"""The layers that the networks are built from."""

from keras_wmgm.layers.attention_gate import AttentionGate as AttentionGate
from keras_wmgm.layers.bilinear_upsampling2d import (
    BilinearUpSampling2D as BilinearUpSampling2D,
)
from keras_wmgm.layers.haar_dwt2d import HaarDWT2D as HaarDWT2D
from keras_wmgm.layers.haar_iwt2d import HaarIWT2D as HaarIWT2D
from keras_wmgm.layers.initializers import (
    NumpyGlorotUniform as NumpyGlorotUniform,
)
from keras_wmgm.layers.residual_block import ResidualBlock as ResidualBlock
from keras_wmgm.layers.scale_embedding import ScaleEmbedding as ScaleEmbedding
from keras_wmgm.layers.self_attention2d import (
    SelfAttention2D as SelfAttention2D,
)
from keras_wmgm.layers.time_embedding import TimeEmbedding as TimeEmbedding
