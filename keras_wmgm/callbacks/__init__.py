"""Callbacks for `fit`, beside Keras's own."""

from keras_wmgm.callbacks.decay import DecayOverTime as DecayOverTime
from keras_wmgm.callbacks.history_file import HistoryFile as HistoryFile
from keras_wmgm.callbacks.run_folder import RunFolder as RunFolder
from keras_wmgm.callbacks.run_folder import load_run as load_run
from keras_wmgm.callbacks.sample_grid import SampleGrid as SampleGrid
from keras_wmgm.callbacks.stopping import StopOnSignal as StopOnSignal
from keras_wmgm.callbacks.stopping import TimeLimit as TimeLimit
from keras_wmgm.callbacks.watch import Watch as Watch
