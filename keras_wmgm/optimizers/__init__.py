"""Optimizers."""

from keras_wmgm.optimizers.conv_muon import ConvMuon as ConvMuon
