"""What a recipe has a network learn from besides labels: a teacher, asked now or before, and maps.

Also what `nas finetune --set` may give: fields of a recipe that have no flag.
"""

from typing import Any

from nas.finalists.answers import REGIONS, VARIANTS, AnswerStore
from nas.finalists.recipe import LIKENESSES, Recipe
from nas.finalists.teacher import make_teacher
from nas.prepare.reopen import Trained
from nas.system.reporter import Reporter
from search_spaces import DEFAULT_TASK, UserError, check_ranges
from supernets.images import Images
from supernets.likenesses import AbstractLikeness, Affinity, Granularity
from supernets.plan import TrainPlan
from supernets.score_maps import head_of
from supernets.teachers import (
    LABELS_ONLY,
    AbstractTeacher,
    Discriminator,
    LiveTeacher,
    Teaching,
)

SETTINGS: dict[str, type] = {
    "labels_share": float,
    "weight_decay": float,
    "drop_path": float,
    "stored": str,
    "variants": int,
    "top": int,
    "low_rank": int,
    "activate": float,
    "discriminator": float,
    **dict.fromkeys(LIKENESSES, float),
}
"""Fields of a recipe that `--set` gives, and their types."""


def teaching_of(
    recipe: Recipe, trained: Trained, images: Images, plan: TrainPlan, reporter: Reporter
) -> Teaching:
    """What networks learn from by a recipe; a teacher that is stored is asked now.

    Args:
        recipe: How.
        trained: The run.
        images: To train on.
        plan: Of the training.
        reporter: Told how far asking is.

    Raises:
        UserError: If a teacher cannot be had, does not fit, or has no maps to compare.
    """
    teacher = make_teacher(recipe.teacher, trained)
    if teacher is None:
        return LABELS_ONLY
    likenesses = _likenesses(recipe, teacher)
    network = trained.problem.space.network
    assert network is not None
    discriminator = None
    if recipe.discriminator:
        _check_softmax("discriminator", trained)
        discriminator = Discriminator(
            num_outputs=network.num_classes, weight=recipe.discriminator, seed=plan.seed
        )
    if recipe.stored:
        if recipe.top:
            _check_softmax("top", trained)
            check_ranges(recipe, "nas finetune", top=(1, network.num_classes))
        store = AnswerStore(
            run=trained.run,
            teacher=teacher,
            name=f"{recipe.teacher} {recipe.teacher_sha256}".strip(),
            images=images,
            plan=plan,
            num_outputs=network.num_classes,
            reporter=reporter,
        )
        if recipe.stored == REGIONS:
            teacher = store.to_regions()
        else:
            assert recipe.stored == VARIANTS
            teacher = store.to_variants(recipe.variants, recipe.top)
    return Teaching(teacher, 1 - recipe.labels_share, likenesses, discriminator)


def _check_softmax(setting: str, trained: Trained) -> None:
    """See that outputs are those of classes, whose softmax means something.

    Raises:
        UserError: If the task is another one.
    """
    if trained.data.task != DEFAULT_TASK:
        raise UserError(
            f"{setting} is of probabilities of classes, and run '{trained.run.path}' is of task "
            f"'{trained.data.task}'. Leave it out."
        )


def _likenesses(recipe: Recipe, teacher: AbstractTeacher) -> tuple[AbstractLikeness[Any], ...]:
    """What is compared of maps, with those of the one network that teaches.

    Raises:
        UserError: If it is none of ours, or has no maps of scores where these are compared.
    """
    asked = [name for name in LIKENESSES if getattr(recipe, name)]
    if not asked:
        return ()
    if not isinstance(teacher, LiveTeacher) or not teacher.networks:
        raise UserError(
            f"{asked[0]} compares maps with those of one network of the run, and teacher is "
            f"'{recipe.teacher}'. Name --teacher largest or brought, or leave {asked[0]} out."
        )
    (guide,) = teacher.networks
    found: list[AbstractLikeness[Any]] = []
    if recipe.affinity:
        found.append(Affinity(guide, recipe.affinity))
    if asked != ["affinity"]:
        head_of(guide)  # which says so if it has no scores
        found.append(
            Granularity(
                guide=guide,
                image=recipe.image_level,
                region=recipe.region_level,
                pixel=recipe.pixel_level,
            )
        )
    return tuple(found)
