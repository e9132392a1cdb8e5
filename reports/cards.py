"""From the card beside a network's files to a `Member`."""

from pathlib import Path

from reports.documents import (
    Documents,
    Json,
    as_interval,
    as_number,
    as_text,
    as_whole,
    list_at,
    options_at,
    table_at,
)
from reports.records import (
    FinetuneFacts,
    Latency,
    Member,
    ModelFile,
    ModelledCosts,
    Parity,
    PixelQuality,
    SplitQuality,
)
from search_spaces import AbstractDenseTask, AbstractTask, Confusion, UserError, labels_in


def read_member(
    documents: Documents,
    front: Json,
    task: AbstractTask,
    *,
    key: str,
    role: str = "",
    is_reference: bool = False,
    are_files_checked: bool = False,
) -> Member:
    """One network from its card.

    Args:
        documents: Of the run.
        front: Its front.json.
        task: What was learnt.
        key: Which network; the name of its folder.
        role: What it is called, if it is a reference.
        is_reference: Whether it is not on the front.
        are_files_checked: Whether files that are there are compared with what the card says.

    Raises:
        UserError: If the key is no folder's name, or there is no card.
    """
    folder = _listed(documents.folder, "references" if is_reference else "front", key)
    card = documents.json(f"{folder}/card.json")
    files = {name: v for name, v in table_at(card, "files").items() if isinstance(v, dict)}
    for name, row in files.items():
        if are_files_checked and Path(name).name == name:
            documents.check_file(f"{folder}/{name}", row.get("sha256"))
    source = as_text(card.get("twin_of"))
    role = role or (f"fp32 of {source}" if source else "")
    ties = [pair for pair in list_at(front, "ties") if isinstance(pair, list) and key in pair]
    tied = [as_text(other) for pair in ties for other in pair if other != key]
    return Member(
        key=key,
        name=role if is_reference else ", ".join(["front member", *([role] if role else [])]),
        role=role,
        is_reference=is_reference,
        folder=folder,
        arch=options_at(card, "arch"),
        policy=options_at(card, "policy"),
        encoding=tuple(as_whole(index) or 0 for index in list_at(card, "encoding")),
        macs=as_whole(card.get("macs")),
        params=as_whole(card.get("params")),
        bit_ops=as_number(card.get("bit_ops")),
        files=tuple(_file(name, row, task) for name, row in files.items()),
        classes=tuple(as_text(name) for name in list_at(card, "classes")),
        input=table_at(card, "input"),
        data=as_text(card.get("data")),
        task=task,
        finetuned=_finetuned(table_at(card, "finetuned")),
        modelled=_modelled(table_at(card, "modelled")),
        is_knee=not is_reference and front.get("knee") == key,
        tied_with=tuple(dict.fromkeys(tied)),
        is_altered=any(line.startswith(f"{folder}/") for line in documents.altered),
    )


def _listed(run_dir: Path, kind: str, key: str) -> str:
    """The folder of a network that front.json lists, within the run.

    Raises:
        UserError: If the key is no folder's name, or there is no card.
    """
    if key in ("", ".", "..") or Path(key).name != key:
        raise UserError(f"run '{run_dir}': front.json lists the key '{key}', not a folder's name.")
    if not (run_dir / kind / key / "card.json").exists():
        raise UserError(
            f"run '{run_dir}': front.json lists '{key}', but {kind}/{key}/card.json is not there. "
            "Restore the folder, or start the same `nas search` again."
        )
    return f"{kind}/{key}"


def _file(name: str, row: Json, task: AbstractTask) -> ModelFile:
    accuracy = table_at(row, "accuracy")
    return ModelFile(
        name=name,
        bytes=as_whole(row.get("bytes")),
        precision=as_text(row.get("precision")),
        integer_kernels=as_whole(row.get("integer_kernels")),
        search=_quality(table_at(accuracy, "search"), task),
        test=_quality(table_at(accuracy, "test"), task),
        latency=read_latency(table_at(row, "latency")),
        latency_predicted_ms=as_number(row.get("latency_predicted_ms")),
        parity=_parity(table_at(row, "parity")),
        elsewhere={
            target: read_latency(table_at(table_at(row, "elsewhere"), target))
            for target in table_at(row, "elsewhere")
        },
        answered_by=as_text(table_at(row, "answered_by").get("runtime")) or "onnxruntime",
    )


def _modelled(row: Json) -> ModelledCosts | None:
    if not row:
        return None
    macs, size_bytes = as_whole(row.get("macs")), as_whole(row.get("size_bytes"))
    return ModelledCosts(macs=macs, size_bytes=size_bytes)


def _parity(row: Json) -> Parity | None:
    same = as_number(row.get("same_answer"))
    return None if same is None else Parity(same_answer=same, images=as_whole(row.get("images")))


def _finetuned(row: Json) -> FinetuneFacts | None:
    if not row:
        return None
    return FinetuneFacts(
        source=as_text(row.get("from")),
        steps=as_whole(row.get("steps")),
        epochs=as_number(row.get("epochs")),
        teacher=as_text(row.get("teacher")),
        data=as_text(row.get("data")),
        grown_from=as_text(row.get("grown_from")),
        trained_in=as_text(row.get("trained_in")),
    )


def _quality(row: Json, task: AbstractTask) -> SplitQuality:
    found = task.metrics_of(row)
    is_dense = isinstance(task, AbstractDenseTask)
    return SplitQuality(
        shown=as_number(found[task.shown.name]),
        loss=as_number(found[task.loss.name]),
        correct=as_whole(row.get("correct")),
        deviation=as_number(row.get("deviation")),
        total=as_whole(row.get("total")),
        labels=labels_in(row),
        confusion=Confusion.of_record(row),
        is_balanced=row.get("balanced") is True,
        untaught=task.untaught_in(row, num_classes=0) if is_dense else None,
        pixels=_pixels(table_at(row, "pixels")),
    )


def _pixels(row: Json) -> PixelQuality | None:
    if not row:
        return None
    return PixelQuality(
        fraction=as_number(row.get("fraction")),
        mean_iou=as_number(row.get("mean_iou")),
        ious=tuple(as_number(iou) for iou in list_at(row, "iou")),
    )


def read_latency(row: Json) -> Latency:
    """A latency as cards have it."""
    return Latency(
        median_ms=as_number(row.get("median_ms")),
        interval_ms=as_interval(row.get("interval_ms")),
        processes=as_whole(row.get("processes")),
        runs=as_whole(row.get("runs")),
        threads=as_whole(row.get("threads")),
        batch=as_whole(row.get("batch")),
        is_bimodal=row.get("is_bimodal") is True,
        runtime=as_text(row.get("runtime")),
        version=as_text(row.get("version")),
        cpu=as_text(row.get("cpu")),
        instruction_set=as_text(row.get("instruction_set")),
        options=as_text(row.get("options")),
        energy_mj=as_number(row.get("energy_mj")),
    )
