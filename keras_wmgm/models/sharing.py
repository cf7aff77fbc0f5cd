"""Loading models from presets, saving them as presets, uploading them."""

import os
import tempfile

import keras

from keras_wmgm.presets.folder import save_folder
from keras_wmgm.presets.handles import check_repo_id
from keras_wmgm.presets.load import load_as
from keras_wmgm.presets.registry import Preset
from keras_wmgm.presets.upload import upload


class Sharing:
    """The part of `MultiscaleModel` that deals with presets."""

    presets: dict[str, Preset] = {}
    """The presets of this class that have a name."""

    @classmethod
    def from_preset(
        cls, handle: str | os.PathLike, load_weights: bool = True, **kwargs
    ) -> keras.Model:
        """Make the model of a preset; see `keras_wmgm.from_preset`.

        Raises:
            ValueError: Also if the preset is of a class that is not this
                one or one of its subclasses, before weights are downloaded.
        """
        return load_as(cls, handle, load_weights, **kwargs)

    def save_to_preset(
        self,
        folder: str | os.PathLike,
        dtype: str | None = None,
        metadata: dict | None = None,
    ) -> None:
        """Write the networks that draw as a preset folder.

        It holds the averaged weights and the band statistics. Critics are
        described, so that training can make them again, but not saved. To
        resume a run exactly, use `keras_wmgm.callbacks.RunFolder`.

        Args:
            folder: The folder; an existing preset is replaced.
            dtype: `"float16"` for half of the size.
            metadata: Additional entries of `metadata.json`.

        Raises:
            ValueError: Before `adapt` or `fit`.
            FileExistsError: If the folder holds something else.
        """
        self._check_adapted("save_to_preset")
        save_folder(self, folder, dtype, metadata)

    def upload_to_hub(
        self,
        repo_id: str,
        private: bool = False,
        token: str | None = None,
        dtype: str | None = None,
        metadata: dict | None = None,
        **kwargs,
    ) -> str:
        """Upload the networks that draw to the Hugging Face Hub, in one commit.

        A model card is written if the repository has none.

        Args:
            repo_id: `org/name`; the repository is made if necessary.
            private: Whether a new repository is private.
            token: A token with write access; by default `HF_TOKEN`, or the
                token of `hf auth login`.
            dtype: `"float16"` for half of the size.
            metadata: Additional entries of `metadata.json` and of the card:
                `license`, `data`, `recipe`, `limits`, `metrics`.
            **kwargs: See `keras_wmgm.presets.upload`: `samples`, `license`,
                `card`, `commit_message`, `custom_objects`.

        Returns:
            The handle that loads it, `hf://org/name@commit`.

        Raises:
            ValueError: Before `adapt` or `fit`.
            OSError: If the Hub refuses, or cannot be reached.
        """
        check_repo_id(repo_id)
        with tempfile.TemporaryDirectory() as folder:
            self.save_to_preset(folder, dtype, metadata)
            return upload(folder, repo_id, private, token, **kwargs)
