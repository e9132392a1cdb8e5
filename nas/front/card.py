"""The card beside every exported model: what it is, what goes in, what comes out, and how well.

Format (`card.json`, schema 1). Nothing in it depends on where the run lies.

- `run`, `name`, `key`, `space`, `data`; `encoding`, `arch`, `policy`: which candidate this is.
- `input`: `x = (image / scale - mean) / std`, with `image` the uint8 pixels, laid out as `layout`
  says; `mean` and `std` have one number per channel; `resize` says how an image of any kind and
  size is brought to `shape` (`nas.preprocess` does it), and what was done to the data set's;
  `ranges`, only where the training images decided it: by kind of values, "16-bit" or "float", black
  and white.
- `corrupt`: images of the data set that could not be read and were left out; only where there are.
- `trained_by`: device and processes that trained the supernet, in words; not where it was given.
- `classes`: names, in the order of the output "logits" (batch, outputs) in classification; none
  where the answers are images, (batch, channels, height, width) in shares of white.
- `task`: what is learnt, and so what the outputs are; only where it is not classification.
- `finetuned`: only where the network was trained further, alone: `from` (the key it had before),
  `grown_from` (only where it began with the function of a smaller network: that one's key),
  `steps`, `images_per_step`, `epochs` (null where a search decided by its time), `teacher`, `data`
  ("" for the run's own), `batch_norm` ("batch" or "frozen" statistics) and, of quantization-aware
  training, `aware_steps`, the last of the steps; `trained_in`, the precision of steps and whether
  they were compiled (cards of earlier versions have none); `unlabelled`, `stored`, `low_rank` and
  `activate` as the recipe has them, where they were asked for.
- `macs`: of the network as exported, exact. `params`: the values that the file `params_in` holds,
  the network in full precision with batch norm folded into its convolutions. Cards of earlier
  versions have no `params_in` and count batch norm's own parameters, as budgets do. `bit_ops`:
  `macs` times the relative cost of their bits, as deployed; cards of earlier versions have none.
- `modelled`: only where weights have a sparsity pattern: `macs`, and `size_bytes` of the deployed
  file with the positions of what remains, on a device with kernels for it. `macs`, `bytes` and
  `latency` are those of dense kernels, which multiply the zeros that the files hold.
- `twin_of`: only where this is what a quantized network was before quantization: that one's key.
- `files`: name -> `sha256`, `bytes` and, for ONNX files, `precision`, `integer_kernels` (those that
  the target runs), `needs` (see below), `accuracy` per split (of a share `fraction`, `correct`,
  `total`, of another metric its name, `deviation`, `total`; the task's loss, such as `log_loss`;
  and what `balanced`, `labels` and answers are, see below), `latency` (the fields of
  `nas.targets.Timing`; `energy_mj` only where the machine counts energy) and
  `latency_predicted_ms` (null if nobody predicted it); the deployed file also `parity`: on how many
  `images` of the search split it gives the `same_answer` (a fraction) as the module that was scored
  (a twin on the front was not scored). Of a quantized network there are `model.fp32.onnx` and
  `model.fp32.safetensors`, too: the same network before quantization. Where
  the target takes other files than ONNX, `timed` names the one that stands for this: `latency` and
  `integer_kernels` are its. `elsewhere`, only where there were other targets: `latency` on each, by
  its text. `answered_by`, only where it was not onnxruntime: `runtime`, `version` and options of
  what gave the answers that `accuracy` is of.
- `calibration` of an ONNX file: what decided the ranges of activations on grids, or where training
  began to learn them; only where a format has such. Cards of earlier versions have none: it was
  `min-max`.
- `needs` of an ONNX file: `opset` and `ir_version`, `domains` of operators that are not ONNX's, if
  there are any, `uncommon` ones that not every tool for devices knows, likewise, and, where layers
  multiply integers of eight bits, the `weight_bits` of these: 7 give the same answers on any
  processor; 8 only where it has one of the `instruction_sets`, and
  elsewhere sums of products saturate; `runtime`, such as "openvino>=2025.0", where the target says
  from which version on such files were tried. Cards of earlier versions have none.
- `balanced` of a split: true where the loss is the mean over classes of the means of their images,
  and left out where it is the mean over images.
- `labels` of a split: images of each class. In classification also `confusion`: `answers`, images
  that are called each class; `right`, images of each class that are called so; `confused`, [label,
  answer, images] of wrong answers, the 100 most frequent ones. Cards of earlier versions have none.
- `untaught` of a split, where answers are images or masks: both metrics of what needs no learning,
  and the `deviation`, over images, of what this file has more in the shown metric.
- `pixels` of a split, where answers are masks: of all its pixels together the `fraction` that is
  right, the intersection over union of every class (`iou`, null of one that is neither there nor
  answered), and their mean, `mean_iou`.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.system.files import SCHEMA, check_schema, understood, unsealed, write_json
from nas.targets import Timing
from nas.targets._base import LEFT_OUT
from search_spaces import (
    DEFAULT_TASK,
    Candidate,
    Slot,
    UserError,
    modelled_costs,
    naming_task,
    task_in,
)

_NUMBER = (int, float)
_CARD_FIELDS: dict[str, Any] = {
    "run": str,
    "name": str,
    "key": str,
    "space": str,
    "data": str,
    "encoding": list,
    "arch": dict,
    "policy": dict,
    "input": {
        "name": str,
        "shape": list,
        "layout": str,
        "dtype": str,
        "channels": str,
        "scale": _NUMBER,
        "mean": list,
        "std": list,
        "resize": str,
    },
    "classes": list,
    "macs": int,
    "params": int,
    "files": dict,
}
_OPTIONAL_FIELDS: dict[str, Any] = {
    "bit_ops": _NUMBER,
    "modelled": {"macs": int, "size_bytes": int},
    "trained_by": str,
}
_FILE_FIELDS: dict[str, Any] = {"sha256": str, "bytes": int}
_TIMING_TYPES: dict[Any, Any] = {float: _NUMBER, int: int, bool: bool, str: str}
_ONNX_FIELDS: dict[str, Any] = {
    **_FILE_FIELDS,
    "precision": str,
    "integer_kernels": int,
    "accuracy": dict,
    "latency": {
        field.name: _TIMING_TYPES.get(field.type, list)
        for field in dataclasses.fields(Timing)
        if field.name not in LEFT_OUT
    },
    "latency_predicted_ms": (*_NUMBER, type(None)),
}


def build_card(
    *,
    run: str,
    name: str,
    key: str,
    candidate: Candidate,
    space: str,
    data: str,
    input: Mapping[str, Any],
    classes: Sequence[str],
    macs: int,
    params: int,
    files: Mapping[str, Mapping[str, Any]],
    finetuned: Mapping[str, Any] | None = None,
    task: str = DEFAULT_TASK,
    twin_of: str = "",
    params_in: str = "",
    bit_ops: float | None = None,
    corrupt: int = 0,
    trained_by: str = "",
    modelled: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """A card; the arguments are its fields, as the module's docstring says.

    Raises:
        UserError: If a field of `input` or `files` is missing or of the wrong type.
    """
    card = {
        "schema": SCHEMA,
        "run": run,
        "name": name,
        "key": key,
        "space": space,
        "data": data,
        "encoding": list(candidate.encoding),
        "arch": dict(candidate.arch),
        "policy": dict(candidate.policy),
        "input": dict(input),
        "classes": list(classes),
        "macs": macs,
        "params": params,
        "files": {file: dict(facts) for file, facts in files.items()},
        **naming_task(task),
    }
    if finetuned is not None:
        card["finetuned"] = dict(finetuned)
    if modelled:
        card["modelled"] = dict(modelled)
    if twin_of:
        card["twin_of"] = twin_of
    if params_in:
        card["params_in"] = params_in
    if bit_ops is not None:
        card["bit_ops"] = bit_ops
    if corrupt:
        card["corrupt"] = corrupt
    if trained_by:
        card["trained_by"] = trained_by
    check_card(card, place=f"card of {key}")
    return card


def modelled_facts(slots: Sequence[Slot], num_bytes: int) -> dict[str, int]:
    """The card's `modelled`, of a deployed file of so many bytes; empty for a dense network."""
    costs = modelled_costs(slots)
    if costs is None:
        return {}
    return {"macs": costs.macs, "size_bytes": num_bytes - round(costs.spared_bytes)}


def write_card(card: Mapping[str, Any], path: Path) -> None:
    """Checks a card and writes it; after a crash the file is the old one or the new one, whole.

    Raises:
        UserError: If a field is missing or of the wrong type.
    """
    check_card(card, place=f"card '{path}'")
    json.dumps(card, allow_nan=False)
    write_json(path, card)


def read_card(path: Path) -> dict[str, Any]:
    """The card in a file.

    Raises:
        UserError: If the file is missing, is no JSON, or is not a card that this version reads.
    """
    place = f"card '{path}'"
    remedy = "or delete it and give the same `nas search` again"
    try:
        with understood(place, remedy):
            card = unsealed(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{place} cannot be read: {error.strerror}. Give a card.json.") from error
    check_card(card, place=place)
    return card


def check_card(card: Any, *, place: str) -> None:
    """Checks schema version, fields and types; fields that the schema does not name are allowed.

    Args:
        card: What was read, or is to be written.
        place: How messages call it.

    Raises:
        UserError: Names the first field that is wrong, in dotted form.
    """
    if not isinstance(card, Mapping) or not isinstance(card.get("schema"), int):
        raise UserError(f"{place}: field 'schema' is missing, so this is not a card.")
    with understood(place):
        check_schema(card)
    present = {name: kind for name, kind in _OPTIONAL_FIELDS.items() if name in card}
    _check(card, {**_CARD_FIELDS, **present}, place=place, path="")
    for name, facts in card["files"].items():
        fields = _ONNX_FIELDS if name.endswith(".onnx") else _FILE_FIELDS
        _check(facts, fields, place=place, path=f"files.{name}.")
        if name.endswith(".onnx"):
            with understood(f"{place}: field 'files.{name}.latency'"):
                for latency in (facts["latency"], *facts.get("elsewhere", {}).values()):
                    Timing.from_json(latency)
        accuracies = facts.get("accuracy", {})
        _check(accuracies, {}, place=place, path=f"files.{name}.accuracy.")
        for split, accuracy in accuracies.items():
            path = f"files.{name}.accuracy.{split}."
            _check(accuracy, task_in(card).record_fields(), place=place, path=path)


def _check(value: Any, fields: Mapping[str, Any], *, place: str, path: str) -> None:
    if not isinstance(value, Mapping):
        raise UserError(f"{place}: field '{path[:-1]}' must hold fields, it is {value!r}.")
    for name, kind in fields.items():
        if name not in value:
            raise UserError(f"{place}: field '{path}{name}' is missing. Export the model again.")
        if isinstance(kind, dict):
            _check(value[name], kind, place=place, path=f"{path}{name}.")
        elif not isinstance(value[name], kind) or (
            isinstance(value[name], bool) and kind is not bool
        ):
            raise UserError(
                f"{place}: field '{path}{name}' is {value[name]!r}, which is of the wrong type. "
                "Export the model again."
            )
