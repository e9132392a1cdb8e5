"""The run whose trained supernet another search uses (`--supernet`), and whether it can be used.

What the user does not give is what the donor's run was given: images, space, plug-ins, how it was
trained, and the formats and sparsities that were trained for. What training has given up of these
stays out, unless the user gives others. Budgets are not inherited; what the donor was never taught
because of its own ones is left out (`nas/prepare/sizes.py`). What `--fix` left out of the
training of a supernet stays out; what it left out of a search of a given one does not.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.data import DataSet, identity
from nas.problem.budget import refuse_impossible
from nas.problem.fix import fixed
from nas.problem.problem import Limit
from nas.run.config import Config, differences
from nas.run.directory import read_begun_space, read_config_of, read_trained_space
from nas.run.own_files import CONFIG, with_unchanged_files
from nas.system.files import read_json
from search_spaces import Option, SearchSpace, UserError, is_policy, plugin_name

POLICY = ("precision", "sparsity", "pattern", "rank")
INHERITED = (
    *("space", "data", "task", "data_dir", "cache", "resolution", "skip_corrupt", "held_gb"),
    *POLICY,
    "method",
)


def with_inherited(settings: Mapping[str, Any], out: Path | None = None) -> dict[str, Any]:
    """Settings, and for those that are not given the ones of the supernet's run.

    Args:
        settings: By the names of `Config`.
        out: The run directory, if it is named: once begun, it has what was inherited, and the
            donor may have gone.

    Raises:
        UserError: If the configuration of one of the two cannot be read, or another training method
            is given than the supernet was trained by.
    """
    supernet = settings.get("supernet", "")
    begun = read_config_of(out) if supernet and out and (out / CONFIG).is_file() else None
    if begun and begun.supernet:
        assert out is not None
        return _inherited(out, begun, settings, (*INHERITED, "data_seed"))
    if not supernet or not Path(supernet, CONFIG).is_file():
        return dict(settings)
    donor = read_config_of(Path(supernet))
    found = _inherited(Path(supernet), donor, settings, INHERITED)
    if "data_seed" not in settings and settings.get("seed", 0) != donor.split_seed:
        found["data_seed"] = donor.split_seed
    return found


def _inherited(
    run: Path, config: Config, settings: Mapping[str, Any], names: tuple[str, ...]
) -> dict[str, Any]:
    """Settings, with those of a run that are not given, and all of its plug-ins.

    Of one that is given as where the run had it, and has gone, the run's copy.
    """
    asked = settings.get("method", config.method)
    if asked != config.method:
        raise UserError(
            f"training method '{asked}' is asked for, and supernet '{settings['supernet']}' was "
            f"trained by '{config.method}', and is not trained again. Leave out --method, or leave "
            "out --supernet to train one."
        )
    found = with_unchanged_files(run, config)
    places = {plugin_name(Path(file)): file for file in found.plugins}
    gone = {file for file in config.plugins if not Path(file).is_file()}
    given = [
        places.get(plugin_name(Path(file)), file) if file in gone else file
        for file in settings.get("plugins", ())
    ]
    own = {plugin_name(Path(file)) for file in given}
    more = (file for name, file in places.items() if name not in own)
    inherited = {name: getattr(found, name) for name in names}
    return {**inherited, **settings, "plugins": (*more, *given)}


def donor_space(config: Config, space: SearchSpace) -> SearchSpace:
    """The space with the donor's architectures, whose weights there are, and its own policies.

    Of both there is what the donor was trained for by its `fix`, and of its own policies what its
    training has left.

    Args:
        config: Names the donor.
        space: As the configuration has it, not trimmed.

    Raises:
        UserError: If the donor was trained for other architectures than some of the space's, or for
            none of some policies.
    """
    texts = _fix_of_training(Path(config.supernet))
    try:
        space = fixed(space, texts)
    except UserError as error:
        raise UserError(
            f"supernet '{config.supernet}' was trained with --fix {' --fix '.join(texts)}, and of "
            f"that nothing is left here: {error}"
        ) from error
    trained = read_trained_space(Path(config.supernet))
    donor = [c for c in trained.choices if not is_policy(c.name)]
    found = space.restricted({choice.name: choice.options for choice in donor})
    if [c for c in found.choices if not is_policy(c.name)] != donor:
        raise UserError(
            f"supernet '{config.supernet}' was trained for other architectures, {_said(trained)}, "
            f"than those of {_said(space)}. Leave out --supernet to train one, or use the space "
            "and resolution of that run."
        )
    return found.restricted(_policy_left(config, found, trained))


def _policy_left(
    config: Config, space: SearchSpace, trained: SearchSpace
) -> dict[str, list[Option]]:
    """What the donor's training left of each choice about compression that it took options from.

    Nothing if the configuration names other formats, sparsities or the like than the donor's: those
    are to be searched.
    """
    run = Path(config.supernet)
    donor = read_config_of(run)
    if any(getattr(config, name) != getattr(donor, name) for name in POLICY):
        return {}
    left = {choice.name: choice.options for choice in trained.choices}
    begun = {choice.name: choice.options for choice in read_begun_space(run).choices}
    found = {}
    for choice in space.choices:
        if is_policy(choice.name) and left.get(choice.name) != begun.get(choice.name):
            lost = {*begun[choice.name]} - {*left.get(choice.name, begun[choice.name])}
            found[choice.name] = [option for option in choice.options if option not in lost]
    return found


def _fix_of_training(run: Path) -> tuple[str, ...]:
    """What the supernet of a run was trained with; of one that was given, if its run is there."""
    config = read_config_of(run)
    if not config.supernet:
        return config.fix
    donor = Path(config.supernet)
    return _fix_of_training(donor) if (donor / CONFIG).is_file() else ()


def _said(space: SearchSpace) -> str:
    assert space.network is not None
    return f"space '{space.name}' at {space.network.resolution} px"


def check_donor(config: Config, space: SearchSpace, limits: Sequence[Limit], data: DataSet) -> None:
    """See that a donor has these architectures and was trained on these images.

    Of others, some may be what it is judged on here.

    Raises:
        UserError: If it was not, or what `fix` leaves of them is beyond a limit.
    """
    if not config.supernet:
        return
    searched = fixed(donor_space(config, space), config.fix)
    assert searched.costs is not None
    refuse_impossible(limits, searched.costs)
    kept = read_json(Path(config.supernet, "data.json"))
    changed = differences(kept, identity(data, kept))
    if changed:
        raise UserError(
            f"supernet '{config.supernet}' was trained on other images than data '{data.name}' "
            f"with seed {config.split_seed}: {'; '.join(changed):.300}. Use the same --data and "
            "--seed (or data_seed in --config), or leave out --supernet to train one."
        )
