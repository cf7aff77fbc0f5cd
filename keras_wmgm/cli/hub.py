"""`keras-wmgm presets` and `keras-wmgm upload`."""

import click

from keras_wmgm.cli.options import COUNT
from keras_wmgm.cli.options import PATH
from keras_wmgm.presets.table import table
from keras_wmgm.presets.upload import upload as upload_preset

COLUMNS = (
    ("name", "name", str),
    ("class", "class", str),
    ("pixels", "image_size", str),
    ("parameters", "parameters", "{:,}".format),
    ("steps", "steps", str),
    ("FD", "fd", "{:,.0f}".format),
    ("of images", "fd_images", "{:,}".format),
    ("license", "license", str),
    ("MiB", "bytes", lambda size: f"{size / 2**20:.1f}"),
    ("weights", "weights", str),
)


@click.command()
def presets():
    """List the presets that have a name.

    FD is the Fréchet distance to the training data in the features of
    SqueezeNet, with the listed number of steps. Smaller is better; values of
    different data cannot be compared. "none yet" means that no weights have
    been published.
    """
    rows = [[title for title, _, _ in COLUMNS]]
    for preset in table():
        cells = [(preset[key], write) for _, key, write in COLUMNS]
        rows.append(["-" if v is None else write(v) for v, write in cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        click.echo("  ".join(c.ljust(w) for c, w in cells).rstrip())


@click.command()
@click.argument("folder", type=PATH)
@click.argument("repository", metavar="ORG/NAME")
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option(
    "--samples", type=COUNT, default=16, help="Images in a written card."
)
@click.option("--license", help="License of a written card, such as cc0-1.0.")
@click.option("--message", help="Message of the commit.")
@click.option(
    "--card",
    type=PATH,
    metavar="FOLDER",
    help="The folder of README.md, if it is another.",
)
def upload(folder, repository, private, samples, license, message, card):
    """Upload a preset folder to the Hugging Face Hub.

    It makes one commit. If the repository has no model card, it uploads the
    README.md of the folder, or writes a card from the metadata. Log in with
    HF_TOKEN or `hf auth login`; HF_ENDPOINT chooses another hub.
    """
    upload_preset(
        folder,
        repository,
        private,
        samples=samples,
        commit_message=message,
        license=license,
        card=card,
    )
