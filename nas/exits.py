"""`nas exits`: a network of a run with early exits, as verified files, at a threshold.

exits/<key>/model.onnx           the network without exits
exits/<key>/exits.onnx           with them: one image, stops at the first exit that is sure
exits/<key>/exits.all.onnx       what all exits answer, for any number of images
exits/<key>/exits.safetensors    weights of all; `nas.load` reads it
exits/<key>/latencies.json       of an image that leaves at each exit, and without exits
exits/<key>/card.json            what is known of these files: see `_card`
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from nas.finalists.entry import Entry
from nas.finalists.exiting import FOLDER, ExitRecipe, trained_exits
from nas.front.exit_files import ExitFiles
from nas.front.folders import CARD, is_unchanged, without_folder
from nas.front.members import entry_of
from nas.prepare.reopen import Trained, reopened
from nas.problem.budget import LATENCY, Budget, format_value, parse_budget
from nas.problem.leaving import Leaving
from nas.system.files import read_json, write_json
from nas.system.reporter import Reporter
from nas.targets import Timing, choose
from search_spaces import DEFAULT_TASK, CandidateError, UserError, precision_of

SEARCH, TEST = "search", "test"
MACS = "macs"
TRIES = 4
"""Thresholds that are measured until the mean latency is within a budget."""

NEARER = 0.995
"""Of what was too much by, so that a try that comes close is not repeated for nothing."""


@final
@dataclass(frozen=True, kw_only=True)
class Asked:
    """Where images shall leave; where nothing is asked, as early as costs no accuracy.

    Attributes:
        budget: Mean multiply-adds or latency over the search split, such as "60%MACs" of the
            network without exits, or "0.1ms"; "" for none.
        threshold: Of the confidence of every exit, in [0, 1]; None if it is to be found.
    """

    budget: str = ""
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.budget and self.threshold is not None:
            raise UserError(
                f"a threshold of {self.threshold:g} and a budget of {self.budget} are both asked "
                "for, and each decides where images leave. Leave out one of them."
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UserError(
                f"threshold is {self.threshold:g}. It is a confidence from 0, where every image "
                "leaves at the first exit, to 1, where all are answered by the last."
            )
        if self.budget and self.limit.metric not in (MACS, LATENCY):
            raise UserError(
                f"budget '{self.budget}': exits save multiply-adds and time of the images that "
                "leave early. Give a mean of either, such as 60%MACs, 3MMACs or 0.1ms."
            )

    @property
    def limit(self) -> Budget:
        """The budget, understood."""
        return parse_budget(self.budget)


def exits(
    path: Path,
    key: str,
    recipe: ExitRecipe,
    asked: Asked,
    reporter: Reporter,
    *,
    plugins: Sequence[str | Path] = (),
    device: str = "",
) -> Path:
    """Give a network early exits: train them, find the threshold, write and verify files.

    The same call continues an interrupted one; another threshold or budget trains nothing anew.

    Args:
        path: A finished run.
        key: Of a network that it knows; its first characters are enough.
        recipe: How the exits are trained.
        asked: Where images shall leave.
        reporter: Told how far it is.
        plugins: As in `nas.finetune.finetune`, and so is
        device: where they are trained.

    Returns:
        The folder with the files.

    Raises:
        UserError: If the run, the key or the task is not what it should be, the network has no
            stages, or no threshold keeps the budget.
    """
    trained = reopened(path, reporter, plugins=plugins, device=device)
    _refuse_what_cannot_leave(trained, reporter)
    entry = entry_of(trained, key)
    reporter.phase("exits", f"training exits of {entry.key}")
    with trained.run.phase("exits"):
        made = trained_exits(trained, entry, recipe, reporter)
        folder = trained.run.folder(f"{FOLDER}/{made.key}")
        if not _has(folder, asked):
            reporter.phase("exits", f"writing and measuring the files of {made.key}")
            files = ExitFiles(trained, made, folder, reporter)
            try:
                card = _card(trained, entry, recipe, asked, files)
            except CandidateError as error:
                reason = without_folder(str(error), path)
                raise UserError(
                    f"network '{entry.key}' cannot have exits: {reason}. Name another one."
                ) from error
            write_json(folder / CARD, card)
    return folder


def _refuse_what_cannot_leave(trained: Trained, reporter: Reporter) -> None:
    config = trained.config
    if trained.data.task != DEFAULT_TASK:
        raise UserError(
            f"run '{trained.run.path}' is of task '{trained.data.task}', and exits are as sure as "
            f"the largest of their softmax. Name a run of task '{DEFAULT_TASK}'."
        )
    target = choose(config.target, threads=config.timing_threads)
    if target.batch != 1:
        raise UserError(
            f"run '{trained.run.path}' is for {target.batch} images at a time ('{target.text}'), "
            "which would leave at different exits: a file with exits takes one. Search with a "
            "target of batch 1, and --supernet to keep what was trained."
        )
    if config.target.partition(":")[0] != "onnxruntime":
        reporter.note(
            f"exits are nodes of ONNX: they are verified and timed on onnxruntime, not on "
            f"'{config.target}'"
        )


def _has(folder: Path, asked: Asked) -> bool:
    """Whether there are a card of the same question and the very files that it describes."""
    path = folder / CARD
    if not path.exists():
        return False
    card = read_json(path)
    return bool(card.get("asked") == asdict(asked)) and is_unchanged(folder, card["files"])


def _card(
    trained: Trained, entry: Entry, recipe: ExitRecipe, asked: Asked, files: ExitFiles
) -> dict[str, Any]:
    """Writes and measures the files, and says what is known of them.

    Fields (schema 1): `run`, `key`, `of` (the network's key), `space`, `data`, `precision`, and
    `input` and `classes` as in other cards; `recipe`, `steps` of its training; `asked`, and the
    `threshold` that follows; `exits`, one per exit: `after` (the slot whose map it looks at last;
    null for the network's own answer), `macs` and `latency_ms` of an image that leaves there, by
    split its `share` of the images and the `accuracy` that it would have on all of them; by split
    what exits.onnx answers, `accuracy`, and model.onnx, `network_accuracy` (records as in other
    cards), and `macs`, the mean; `network_macs`; `latency` and `network_latency`, a `Timing` each
    whose numbers are means over the first `timed_images` of the search split; `parity`, by split:
    on which fraction of the `images` exits.onnx leaves at the exit where the module does that was
    trained (`same_exit`), and gives its answer (`same_answer`); `params` of the exits; `files`:
    name -> `sha256` and `bytes`, of ONNX files `integer_kernels`, too.
    """
    made, data = files.made, trained.data
    files.write()
    leaving = {split: files.leaving(split) for split in (SEARCH, TEST)}
    macs, latencies = files.macs(), files.latencies()
    threshold, times = _decided(asked, leaving[SEARCH], macs, latencies, files)
    found = {split: files.verified(split, threshold) for split in (SEARCH, TEST)}
    return {
        "schema": 1,
        "run": trained.run.path.name,
        "key": made.key,
        "of": entry.key,
        "space": trained.problem.space.name,
        "data": data.name,
        "precision": precision_of(entry.candidate.policy),
        "input": files.rule,
        "classes": list(data.classes),
        "recipe": asdict(recipe),
        "steps": made.plan.steps,
        "asked": asdict(asked),
        "threshold": threshold,
        "exits": _exit_rows(files, leaving, threshold, macs, latencies),
        "accuracy": {split: of_split["accuracy"] for split, of_split in found.items()},
        "network_accuracy": {split: files.network_record(split) for split in found},
        "macs": {split: of.mean_cost(threshold, macs) for split, of in leaving.items()},
        "network_macs": files.network_macs,
        "latency": times[0].to_json(),
        "network_latency": times[1].to_json(),
        "timed_images": len(files.timed_images),
        "parity": {split: of_split["parity"] for split, of_split in found.items()},
        "params": sum(weight.numel() for weight in made.exiting.exits.parameters()),
        "files": files.contents(),
    }


def _exit_rows(
    files: ExitFiles,
    leaving: Mapping[str, Leaving],
    threshold: float,
    macs: Sequence[float],
    latencies: Sequence[float],
) -> list[dict[str, Any]]:
    slots = [*(of_map.slot for of_map in files.made.maps), None]
    return [
        {
            "after": slot,
            "macs": macs[place],
            "latency_ms": latencies[place],
            "share": {split: of.shares(threshold)[place] for split, of in leaving.items()},
            "accuracy": {
                split: float(of.is_right_NE[:, place].mean()) for split, of in leaving.items()
            },
        }
        for place, slot in enumerate(slots)
    ]


def _decided(
    asked: Asked,
    leaving: Leaving,
    macs: Sequence[float],
    latencies: Sequence[float],
    files: ExitFiles,
) -> tuple[float, list[Timing]]:
    """The threshold, and mean latencies at it, with exits and without; its file is written.

    Args:
        asked: What is asked.
        leaving: On the search split.
        macs: Of an image that leaves at each exit.
        latencies: Likewise, milliseconds.
        files: Of the network.

    Raises:
        UserError: If no threshold keeps the budget.
    """
    if asked.threshold is not None:
        return asked.threshold, files.timed_at(asked.threshold)
    if not asked.budget:
        threshold = leaving.as_good()
        return threshold, files.timed_at(threshold)
    metric = asked.limit.metric
    costs, whole = (macs, files.network_macs) if metric == MACS else (latencies, files.network_ms)
    most = target = asked.limit.max * (whole if asked.limit.is_fraction else 1)
    found = None
    for _ in range(TRIES):
        found = leaving.within(costs, target)
        if found is None:
            break
        times = files.timed_at(found)
        if metric == MACS or times[0].median_ms <= most:
            return found, times
        target *= NEARER * most / times[0].median_ms
    least, largest = (format_value(metric, value) for value in (costs[0], costs[-1]))
    raise UserError(
        f"budget '{asked.budget}' is a mean of {format_value(metric, most)}, and no threshold "
        f"keeps it: images take {least} to the first exit and {largest} to the last. Give a "
        "larger one, or name a smaller network."
    )
