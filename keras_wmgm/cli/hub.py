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
    SqueezeNet, drawn in so many steps; smaller is better, and only the same
    data compare. "none yet" means that nobody has published weights.
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
@click.option("--private", is_flag=True, help="If the repository is new.")
@click.option(
    "--samples", type=COUNT, default=16, help="In a card that is written."
)
@click.option("--license", help="As cc0-1.0, for such a card.")
@click.option("--message", help="Of the commit.")
@click.option(
    "--card",
    type=PATH,
    metavar="FOLDER",
    help="Where README.md is, if not in FOLDER.",
)
def upload(folder, repository, private, samples, license, message, card):
    """Upload a preset folder to the Hugging Face Hub.

    In one commit, with a model card if the repository has none: the folder's
    README.md, or one that is written from its metadata. HF_TOKEN, or
    `hf auth login`, says who you are; HF_ENDPOINT chooses another hub.
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
