"""How long and how to train: the settings of `supernets.train`, which are known without torch."""

from dataclasses import dataclass

from supernets.compiled import IF_IT_PAYS
from supernets.criteria._base import DEFAULT_CRITERION
from supernets.device import CPU
from supernets.optimizers._base import OPTIMIZERS

UNWEIGHTED, BALANCED = "none", "balanced"
"""How classes count in the loss on labels."""

COSINE, STEPS = "cosine", "steps"
"""How the learning rate falls."""


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """How long and how to train.

    Attributes:
        steps: Optimizer steps.
        batch_size: Images per batch; every member that a batch trains sees the same ones.
        shards: Batches per step; processes share them.
        optimizer: Name of an optimizer, "muon", "adamw" or "sgd".
        learning_rate: Peak, after a linear warm-up; 0 for the optimizer's own.
        warmup: Share of steps in the warm-up.
        weight_decay: Of matrices and kernels only.
        label_smoothing: Of the loss on labels.
        class_weights: Of the loss on labels: "none", or "balanced" for classes that count alike,
            however many images they have. What a teacher teaches is not weighted: it has learnt
            from weighted labels itself.
        augment: What is done to images besides shifts and flips, such as "randaugment+cutmix"; ""
            for nothing. See `supernets.augmentations`.
        repeats: How often an image is in a batch, each time varied in another way.
        clip_norm: Largest norm of a step's gradient.
        ema_decay: Of the averaged weights that training returns.
        schedule: How the rate falls from its peak: "cosine" to zero, or in "steps" to a tenth after
            half of the training and a hundredth after three quarters.
        drop_path: Of a network alone, the share of images that pass by its last residual block,
            those before it less often, or, at the end of training, that lose a path where several
            are added up; see `supernets/dropping.py`.
        dropout: Share of what the classifier of a network alone reads that is left out.
        rank_at: Share of the steps after which channels are ranked and sparsity is sampled.
        criterion: Name of what ranks them, such as "magnitude", "taylor" or "random".
        precision: "fp32", "bf16" (autocast), or "fp16" and "tf32" on devices that have them.
        channels_last: Whether activations are stored so.
        device: Where it is trained (`supernets/device.py`).
        compile: Whether networks that are trained alone are compiled: "always", "never", or
            "if-it-pays", as a speed test says.
        checkpoint_s: Seconds between checkpoints, at least.
        seed: Of everything random.
    """

    steps: int
    batch_size: int = 32
    shards: int = 2
    optimizer: str = "muon"
    learning_rate: float = 0.0
    warmup: float = 0.05
    weight_decay: float = 0.04
    label_smoothing: float = 0.1
    class_weights: str = UNWEIGHTED
    augment: str = ""
    repeats: int = 1
    clip_norm: float = 1.0
    ema_decay: float = 0.99
    schedule: str = COSINE
    drop_path: float = 0.0
    dropout: float = 0.0
    rank_at: float = 0.4
    criterion: str = DEFAULT_CRITERION
    precision: str = "fp32"
    channels_last: bool = False
    device: str = CPU
    compile: str = IF_IT_PAYS
    checkpoint_s: float = 20.0
    seed: int = 0

    @property
    def rank_step(self) -> int:
        """First step whose members may be pruned."""
        return int(self.steps * self.rank_at)

    @property
    def images_per_step(self) -> int:
        """Of all batches of a step."""
        return self.batch_size * self.shards

    @property
    def peak_rate(self) -> float:
        """The largest learning rate."""
        return self.learning_rate or float(OPTIMIZERS.get(self.optimizer).learning_rate)
