"""The factors of p(x): how each is learned and drawn."""

from keras_wmgm.factors.adversarial_factor import (
    AdversarialFactor as AdversarialFactor,
)
from keras_wmgm.factors.diffusion_factor import (
    DiffusionFactor as DiffusionFactor,
)
from keras_wmgm.factors.distilled_factor import (
    DistilledFactor as DistilledFactor,
)
from keras_wmgm.factors.factor import Factor as Factor
from keras_wmgm.factors.factor import FactorLoss as FactorLoss
