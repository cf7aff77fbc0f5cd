"""Callbacks for `fit`, besides Keras's own.

Keras's callbacks work with the names that `fit` reports. The total, `loss`, is
a sum over networks that are trained against each other or for different
bands, so monitor the loss of one network and set `mode`, which Keras can guess
for `loss` only. Between epochs the networks hold their averaged weights, so
validation, comparing, saving and restoring use the weights that draw.

>>> import tempfile
>>> from keras_wmgm import factors, networks
>>> network = networks.ScoreUNet(1, filters=(4,), num_blocks=1)
>>> model = keras_wmgm.MultiscaleModel(
...     (8, 8, 1), 0, factors.DiffusionFactor(network))
>>> model.compile()
>>> images = np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 1))
>>> folder = tempfile.TemporaryDirectory()

Stop when the validation loss no longer improves, and restore the weights of
the best epoch; keep its model in a file; reduce the learning rate on a plateau:

>>> best = {"monitor": "val_coarse_loss", "mode": "min"}
>>> history = model.fit(
...     images,
...     validation_data=images[:4],
...     epochs=2,
...     verbose=0,
...     callbacks=[
...         keras.callbacks.EarlyStopping(
...             **best, patience=5, restore_best_weights=True),
...         keras.callbacks.ModelCheckpoint(
...             f"{folder.name}/best.keras", **best, save_best_only=True),
...         keras.callbacks.ReduceLROnPlateau(**best, factor=0.5, patience=3)])
>>> twin = keras.saving.load_model(f"{folder.name}/best.keras")
>>> twin.epochs_trained <= 2  # the epoch that was best
True

`SwapEMAWeights` is not needed: `fit` does the same.
"""

from keras_wmgm.callbacks.decay import DecayOverTime as DecayOverTime
from keras_wmgm.callbacks.history_file import HistoryFile as HistoryFile
from keras_wmgm.callbacks.run_folder import RunFolder as RunFolder
from keras_wmgm.callbacks.run_folder import load_run as load_run
from keras_wmgm.callbacks.sample_grid import SampleGrid as SampleGrid
from keras_wmgm.callbacks.stopping import StopOnSignal as StopOnSignal
from keras_wmgm.callbacks.stopping import TimeLimit as TimeLimit
from keras_wmgm.callbacks.watch import Watch as Watch
