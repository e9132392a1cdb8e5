"""`nas stitch`: several models in one file, which `nas compress` searches like one model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from compress.bring.bring import save_brought
from compress.bring.stitch import stitched
from nas.data import DataSet
from nas.prepare.brought import brought_network, with_input_rule, with_models_rule
from nas.prepare.inputs import read_data
from nas.run.config import Config
from nas.system.reporter import Reporter
from search_spaces import UserError
from search_spaces.networks.stitched import Stitched

IMAGES, BATCH = 128, 32
"""Of the calibration split, by which stitches begin."""

KEPT = ".safetensors"


def stitch(
    models: Sequence[str],
    config: Config,
    out: Path,
    reporter: Reporter,
    *,
    is_two_way: bool = False,
    update_rank: int = 0,
) -> dict[str, Any]:
    """Write the file of a family.

    Args:
        models: As `nas compress` takes them, trained for the same images and classes.
        config: Which images.
        out: The file, which ends in ".safetensors" and is not there yet.
        reporter: Told how far it is.
        is_two_way: Whether ways lead from larger models into smaller ones, too, and back.
        update_rank: Of what is learnt beside stitches that stay as they begin; 0 if all of a
            stitch is learnt.

    Returns:
        `file`, and `paths`, of which each is a network: the largest first, "a1" is the smallest.

    Raises:
        UserError: If the models do not fit together or the data, or the file is there.
    """
    if out.suffix != KEPT or out.exists():
        found = "is there already" if out.exists() else f"does not end in {KEPT}"
        raise UserError(f"--out '{out}' {found}. Name a new file that ends in {KEPT}.")
    if again := [model for model, count in Counter(models).items() if count > 1]:
        raise UserError(f"model '{again[0]}' is named more than once. Name each model once.")
    configs = [replace(config, model=model) for model in models]
    first = with_models_rule(configs[0])
    data = with_input_rule(first, read_data(first, reporter))
    reporter.phase("stitch", "reading the models")
    anchors = [
        brought_network(each, resolution=data.resolution, channels=data.channels)
        for each in configs
    ]
    for model, anchor in zip(models, anchors, strict=True):
        if anchor.network.num_classes != data.num_outputs:
            raise UserError(
                f"model '{model}' has {anchor.network.num_classes} outputs, and data "
                f"'{config.data}' {data.num_outputs} classes. Give models trained for these."
            )
    family = stitched(anchors, _images(data), is_two_way=is_two_way, update_rank=update_rank)
    for note in family.notes:
        reporter.note(note)
    save_brought(family, out)
    assert isinstance(family.network, Stitched)
    return {"file": str(out), "paths": list(family.network.paths)}


def _images(data: DataSet) -> Sequence[torch.Tensor]:
    images_NCHW = data.calibration.take(IMAGES).images_NCHW
    return torch.from_numpy(data.normalised(images_NCHW)).split(BATCH)
