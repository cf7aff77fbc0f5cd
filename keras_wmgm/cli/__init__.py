"""The command line, `keras-wmgm`."""

from keras_wmgm.cli.main import main as main
