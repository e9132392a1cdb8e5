"""How a network is trained further, alone: all that decides what comes of it.

Distillation is that of Hinton et al. (2015) at temperature 1, half of the loss unless the recipe
says otherwise; the teacher answers for the same augmented images (Beyer et al., Knowledge
distillation: a good teacher is patient and consistent, 2022).
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from nas.finalists.answers import REGIONS, VARIANTS
from nas.prepare.phases import NO_TEACHER
from nas.standalone.train import FROZEN
from search_spaces import Candidate, UserError, check_ranges

MOST_EPOCHS = 100_000.0
MOST_VARIANTS = 10_000
MOST_RANK = 4096
MOST_WEIGHT = 1e6
MOST_DROPPED = 0.9

LEVELS = ("image_level", "region_level", "pixel_level")
LIKENESSES = ("affinity", *LEVELS)
"""Weights of losses between maps."""

BY_BATCH = "batch"
NOT_STORED = ""
HALF = 0.5
NUM_VARIANTS = 4

OF_ALL_VERSIONS = frozenset(
    ("epochs", "teacher", "teacher_sha256", "data", "learning_rate", "batch_norm", "aware_share")
)
"""Fields that files have always had."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides what fine-tuning gives.

    Attributes:
        epochs: Passes over the training images; 0 for as many as a search has time for.
        teacher: "none", the "largest" member of the supernet, the network as it was "brought", the
            path of an ONNX file or of a folder with model.onnx; or several of these with " + "
            between them, of which the mean teaches.
        teacher_sha256: Of those that are files, likewise.
        data: Images to train on; "" for those of the run.
        learning_rate: Peak; 0 for the supernet's.
        batch_norm: "batch" normalises by each batch, and statistics are measured afterwards;
            "frozen" measures them before and keeps them (`supernets/tune.py`).
        aware_share: Of the time, at the end, that is quantization-aware (`compress/aware.py`),
            of a network that has grids to learn; it freezes statistics, too.
        labels_share: Of the loss beside a teacher; the rest is the teacher's.
        weight_decay: Of matrices and kernels; None for the supernet's.
        drop_path: Share of images that pass by blocks or lose paths (`supernets/dropping.py`)
            before the quantization-aware share; None for the supernet's plan's.
        unlabelled: Folder of further images, of which the teacher alone says what they are.
        stored: "" asks the teacher about every batch; "variants" asks once about so many variants
            of each image and stores the answers; "regions" stores a map of scores of each image,
            of which a view's region is pooled.
        variants: Of each image.
        top: Probabilities that are stored of each variant; 0 for outputs as they are.
        low_rank: Rank of updates that are trained in place of the weights; 0 for the weights
            (`supernets/low_rank.py`).
        discriminator: Weight of being told from the teacher by a small network that learns to
            (`supernets/teachers/discriminator.py`); 0 for none.
        affinity: Weight of a loss between the affinities of maps and those of the teacher's
            (`supernets/likenesses/affinity.py`); 0 for none.
        image_level: Weight of a loss between what maps of scores say of whole images
            (`supernets/likenesses/granularity.py`); 0 for none.
        region_level: Likewise, of regions.
        pixel_level: Likewise, of places.
        activate: Share of the units behind ReLUs that are made linear before training, those that
            are 0 most often (`compress/activate.py`).
        grown_from: Key of the smaller network whose function it begins with; "" for the supernet's
            weights.
    """

    epochs: float = 0.0
    teacher: str = NO_TEACHER
    teacher_sha256: str = ""
    data: str = ""
    learning_rate: float = 0.0
    batch_norm: str = BY_BATCH
    aware_share: float = 0.0
    labels_share: float = HALF
    weight_decay: float | None = None
    drop_path: float | None = None
    unlabelled: str = ""
    stored: str = NOT_STORED
    variants: int = NUM_VARIANTS
    top: int = 0
    low_rank: int = 0
    discriminator: float = 0.0
    affinity: float = 0.0
    image_level: float = 0.0
    region_level: float = 0.0
    pixel_level: float = 0.0
    activate: float = 0.0
    grown_from: str = ""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "the recipe",
            epochs=(0.0, MOST_EPOCHS),
            learning_rate=(0.0, 10.0),
            aware_share=(0.0, 1.0),
            labels_share=(0.0, 1.0),
            activate=(0.0, 1.0),
            variants=(1, MOST_VARIANTS),
            top=(0, 1 << 30),
            low_rank=(0, MOST_RANK),
            **dict.fromkeys(("discriminator", *LIKENESSES), (0.0, MOST_WEIGHT)),
            **({} if self.weight_decay is None else {"weight_decay": (0.0, 10.0)}),
            **({} if self.drop_path is None else {"drop_path": (0.0, MOST_DROPPED)}),
        )
        if self.batch_norm not in (BY_BATCH, FROZEN):
            raise UserError(
                f"batch_norm is '{self.batch_norm}'. It can be '{BY_BATCH}' or '{FROZEN}'."
            )
        if self.stored not in (NOT_STORED, VARIANTS, REGIONS):
            raise UserError(
                f"stored is '{self.stored}'. It can be '{VARIANTS}' or '{REGIONS}'; leave it out "
                "to ask the teacher about every batch."
            )
        if self.stored != VARIANTS and (self.top or self.variants != NUM_VARIANTS):
            raise UserError(
                "variants and top are of answers that are stored. Add --set stored=variants, or "
                "leave them out."
            )
        self._check_teacher()
        if self.low_rank and self.batch_norm != FROZEN:
            raise UserError(
                f"low_rank is {self.low_rank}, and what it updates is frozen with its statistics. "
                f"Add --batch-norm {FROZEN}."
            )
        if self.drop_path and self.aware_share == 1:
            raise UserError(
                f"drop_path is {self.drop_path:g}, and all of the training is quantization-aware, "
                "which leaves nothing out. Lower --aware, or leave drop_path out."
            )
        frozen = [name for name in ("low_rank", "aware_share") if getattr(self, name)]
        if frozen and any(getattr(self, name) for name in LEVELS):
            raise UserError(
                f"{frozen[0]} is {getattr(self, frozen[0])}, and {', '.join(LEVELS)} read the "
                f"weights of a head as they are. Take affinity in their place, or leave out "
                f"{frozen[0]}."
            )

    def _check_teacher(self) -> None:
        """See that what a teacher is needed for has one."""
        needing = {
            "labels_share": self.labels_share != HALF,
            "unlabelled": self.unlabelled,
            "stored": self.stored,
            "discriminator": self.discriminator,
            **{name: getattr(self, name) for name in LIKENESSES},
        }
        asked = [name for name, is_asked in needing.items() if is_asked]
        if asked and self.teacher == NO_TEACHER:
            raise UserError(
                f"{asked[0]} is '{getattr(self, asked[0])}', and there is no teacher. Name one "
                "with --teacher, or leave it out."
            )
        if self.unlabelled and self.labels_share:
            raise UserError(
                f"images of '{self.unlabelled}' have no labels, and labels_share is "
                f"{self.labels_share:g}. Add --set labels_share=0: the teacher says what they are."
            )

    def document(self) -> dict[str, Any]:
        """Its fields by name, as files have them.

        Those that are not of the first version only where they are not the default: what was
        trained before keeps its name.
        """
        values = dataclasses.asdict(self)
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {n: v for n, v in values.items() if n in OF_ALL_VERSIONS or v != defaults[n]}

    def key(self, candidate: Candidate) -> str:
        """Name of the candidate so trained."""
        text = json.dumps(self.document(), sort_keys=True)
        return f"{candidate.key}-ft{hashlib.sha256(text.encode()).hexdigest()[:6]}"
