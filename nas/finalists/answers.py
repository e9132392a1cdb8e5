"""Answers of teachers that a run keeps, so that no later training has to ask.

    teachers/<digest>/of.json              what was asked of whom: images, teacher, how images vary
    teachers/<digest>/<v>.safetensors      answers to variant v of every image, from 0 on
    teachers/<digest>/regions.safetensors  or score maps of every image

The digest is of of.json, so other images, another teacher or other augmentations make another
folder. Files have checksums and are written whole: what is there is not asked again, and more
variants are added to those there are.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

from torch import Tensor, nn

from nas.run.directory import Run
from nas.system.files import write_json
from nas.system.reporter import Reporter
from search_spaces import UserError
from supernets.checkpoint import checksum, read_tensors, write_tensors
from supernets.images import Images
from supernets.plan import TrainPlan
from supernets.steps import drawing_of
from supernets.teachers import AbstractTeacher, LiveTeacher
from supernets.teachers.regions import RegionTeacher, maps_of
from supernets.teachers.stored import StoredTeacher, answers_to, group_of

FOLDER, OF = "teachers", "of.json"
VARIANTS, REGIONS = "variants", "regions"
"""What is stored: answers to variants of images, or maps of which regions are pooled."""

MAPS = "maps"


@final
@dataclass(frozen=True, kw_only=True)
class AnswerStore:
    """Where a run keeps answers of one teacher.

    Attributes:
        run: The run.
        teacher: Is asked what is not known yet.
        name: What it is called, and the digests of its files.
        images: To train on.
        plan: Of the training.
        num_outputs: Of the teacher.
        reporter: Told how far it is, and how many bytes the answers take.
    """

    run: Run
    teacher: AbstractTeacher
    name: str
    images: Images
    plan: TrainPlan
    num_outputs: int
    reporter: Reporter

    def to_variants(self, variants: int, top: int) -> StoredTeacher:
        """Answers to so many variants of each image.

        Args:
            variants: At least 1.
            top: Probabilities that are kept of each; 0 for all outputs as they are.
        """
        drawing = drawing_of(self.images, self.plan)
        drawing = replace(drawing, batch_size=group_of(self.plan.batch_size))
        folder = self._folder(VARIANTS, {**asdict(drawing), "top": top})
        found = []
        for variant in range(variants):
            path = folder / f"{variant}.safetensors"
            if not path.exists():
                write_tensors(
                    path,
                    answers_to(
                        *(self.teacher, self.images, self.plan, drawing), variant=variant, top=top
                    ),
                    {"variant": variant},
                )
            found.append(_read(path))
            self.reporter.advance(variant + 1, variants, "variants that the teacher has seen")
        self._tell(folder, f"{variants} variants of each of {len(self.images.labels_N):,} images")
        return StoredTeacher.of(drawing, self.num_outputs, found)

    def to_regions(self) -> RegionTeacher:
        """Score maps of all images.

        Raises:
            UserError: If the teacher has no maps, or images are varied by more than shifts.
        """
        network = next(iter(self.teacher.networks), None)
        if not isinstance(self.teacher, LiveTeacher) or network is None:
            raise UserError(
                f"teacher '{self.name}' has no maps that could be stored: it is a file, or there "
                f"are several. Name one network of the run, or take --set stored={VARIANTS}."
            )
        if self.plan.augment:
            raise UserError(
                f"augment is '{self.plan.augment}', and regions are those of images that are "
                f"shifted and flipped alone. Take --set stored={VARIANTS}, which is of any."
            )
        folder = self._folder(REGIONS, {})
        path = folder / f"{REGIONS}.safetensors"
        if not path.exists():
            write_tensors(path, {MAPS: maps_of(network, self.images, self.plan)}, {})
        self._tell(folder, f"the regions of {len(self.images.labels_N):,} images")
        return RegionTeacher(_read(path)[MAPS])

    def _folder(self, kind: str, details: Mapping[str, Any]) -> Path:
        """Where answers of this kind are; made now if it is missing."""
        document = {
            "schema": 1,
            "kind": kind,
            "teacher": self.name,
            "weights": [_digest(network) for network in self.teacher.networks],
            "precision": self.plan.precision,
            "channels_last": self.plan.channels_last,
            "images": identity_of(self.images),
            **details,
        }
        text = json.dumps(document, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        folder = self.run.folder(f"{FOLDER}/{digest}")
        if not (folder / OF).exists():
            write_json(folder / OF, document)
        return folder

    def _tell(self, folder: Path, what: str) -> None:
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        self.reporter.note(f"the teacher's answers to {what} take {size:,} bytes in '{folder}'")


def identity_of(images: Images) -> dict[str, Any]:
    """What tells training images from others, as JSON types: all pixels that are in memory."""
    pixels = images.images_NCHW
    held = pixels.contiguous().numpy() if isinstance(pixels, Tensor) else None
    return {
        "count": len(images.labels_N),
        "labels": zlib.crc32(images.labels_N.contiguous().numpy().data),
        "pixels": None if held is None else zlib.crc32(held.data),
        "shape": None if held is None else list(held.shape[1:]),
        "mean": list(images.mean),
        "std": list(images.std),
        "can_flip": images.can_flip,
        "crop_padding": images.crop_padding,
    }


def _digest(network: nn.Module) -> int:
    """Of a network's weights and buffers."""
    state = network.state_dict()
    return checksum({name: tensor.contiguous() for name, tensor in state.items()}, {})


def _read(path: Path) -> dict[str, Tensor]:
    tensors, _ = read_tensors(path)
    return tensors
