"""A run directory made up for tests: the shape and spread of a real search, without one.

Deterministic on every platform: `random.Random.random()` and arithmetic on it only.
"""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]
CPU = {"cpu": "AMD EPYC 9R14", "instruction_set": "avx512_vnni"}
CONFIG = """\
space = "hybrid"
data = "digit-pairs"
budget = ["4.5GFLOPs", "1.2ms"]
target = "onnxruntime"
controller = "evolution"
precision = ["fp32", "int8"]
sparsity = [0, 0.25, 0.5]
trials = 60
time = "5m"
seed = 0
threads = 2
"""
LIMITS = [
    {"text": "4.5GFLOPs", "metric": "macs", "max": 4.5e9, "binds": False, "largest": 5.81e7},
    {"text": "1.2ms", "metric": "latency_ms", "max": 1.2, "binds": True, "largest": 2.9},
]
PLAN = {
    "schema": 1, "steps": 400, "batch_size": 64, "images_per_score": 1000, "trials": 60,
    "profile_signatures": 60, "precision": "bf16", "channels_last": True, "threads": 2,
    "limits": LIMITS,
}  # fmt: skip
ENVIRONMENT = {
    "schema": 1, "command": ["nas", "search", "--space", "hybrid", "--budget", "4.5GFLOPs"],
    "python": "3.11.7", "platform": "Linux-6.1-x86_64", **CPU, "cores": 2, "threads": 2,
    "packages": {"torch": "2.13.0", "onnxruntime": "1.31.1", "onnx": "1.23.2", "numpy": "2.4.6"},
}  # fmt: skip
PHASES = {"speed-test": 5.1, "train": 131.4, "calibrate": 6.8, "profile": 38.2, "search": 61.7,
          "export": 14.9, "time": 21.3, "verify": 9.6}  # fmt: skip


class Draw:
    """Random draws that never change between versions of Python."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def one(self, options: list[Any]) -> Any:
        return options[int(self._random() * len(options))]

    def around(self, value: float, spread: float) -> float:
        """A symmetric bell of about the given spread."""
        return value + spread * (self._random() + self._random() + self._random() - 1.5)


def draw_network(draw: Draw, *, precision: str = "", is_largest: bool = False) -> Json:
    """An architecture and a policy of a three-stage hybrid space."""
    arch: Json = {}
    policy: Json = {}
    for stage, widths in enumerate(([16, 24, 32], [32, 48, 64], [64, 96, 128]), start=1):
        depth = 3 if is_largest else draw.one([1, 2, 3])
        arch[f"stage{stage}.width"] = widths[-1] if is_largest else draw.one(widths)
        arch[f"stage{stage}.depth"] = depth
        for block in range(1, depth + 1):
            arch |= draw_block(draw, f"stage{stage}.block{block}", is_largest)
        policy[f"stage{stage}.precision"] = precision or draw.one(["fp32", "int8"])
        policy[f"stage{stage}.sparsity"] = 0 if is_largest else draw.one([0, 0.25, 0.5])
    return {"arch": arch, "policy": policy}


def draw_block(draw: Draw, slot: str, is_largest: bool) -> Json:
    operator = draw.one(["mbconv", "convnext", "window", "raft"])
    block: Json = {f"{slot}.operator": operator}
    if operator in ("mbconv", "convnext"):
        block[f"{slot}.kernel_size"] = 7 if is_largest else draw.one([3, 5, 7])
    if operator == "window":
        block[f"{slot}.num_heads"] = draw.one([2, 4])
    block[f"{slot}.expand_ratio"] = 4 if is_largest else draw.one([2, 3, 4])
    return block


def costs(network: Json) -> Json:
    """Plausible costs of a drawn network."""
    arch, policy = network["arch"], network["policy"]
    macs = params = time_ms = size = bits = 0.0
    for stage in (1, 2, 3):
        width, depth = arch[f"stage{stage}.width"], arch[f"stage{stage}.depth"]
        kept = 1 - policy[f"stage{stage}.sparsity"]
        is_int8 = policy[f"stage{stage}.precision"] == "int8"
        ratios = [v for k, v in arch.items() if k.startswith(f"stage{stage}.") and "ratio" in k]
        own = sum(2 * ratio * width**2 * kept for ratio in ratios)
        params += own
        macs += own * (1024, 256, 64)[stage - 1]
        size += own * (1 if is_int8 else 4) + 9000 * depth
        bits += own * (1024, 256, 64)[stage - 1] * (0.5 if is_int8 else 2.0)
        time_ms += depth * 0.07 + own * (1024, 256, 64)[stage - 1] / (3.4e7 if is_int8 else 2.4e7)
    return {
        "macs": round(macs), "params": round(params), "latency_ms": 0.1 + time_ms,
        "size_bytes": round(size), "bit_ops": bits,
    }  # fmt: skip


def accuracy(network: Json, draw: Draw) -> float:
    depth = sum(v for k, v in network["arch"].items() if k.endswith("depth"))
    macs = costs(network)["macs"]
    share = 0.78 - 0.60 * math.exp(-((macs / 4e6) ** 0.55)) + 0.012 * (depth - 5)
    return min(0.95, max(0.02, draw.around(share, 0.035)))


def card(row: Json, name: str, draw: Draw, data: str, classes: list[str]) -> Json:
    """The card of a trial whose files were exported and measured."""
    is_fp32 = all(v == "fp32" for k, v in row["policy"].items() if k.endswith("precision"))
    predicted, share = row["predicted"], row["metrics"]["accuracy"]

    def file(precision: str, latency_ms: float, size: int, gain: float) -> Json:
        median = draw.around(latency_ms, 0.07 * latency_ms)
        low, high = median * (1 - abs(draw.around(0.04, 0.03))), median * 1.05
        return {
            "sha256": "0" * 64, "bytes": size, "precision": precision,
            "integer_kernels": 31 if precision == "int8" else 0,
            "accuracy": {split: quality(draw.around(share + gain, 0.01), total)
                         for split, total in (("search", 2000), ("test", 4000))},
            "latency": {"median_ms": median, "interval_ms": [low, high],
                        "process_medians_ms": [low, median, high], "processes": 5, "runs": 150,
                        "threads": 1, "batch": 1, "is_bimodal": False, "runtime": "onnxruntime",
                        "version": "1.31.1", **CPU},
            "latency_predicted_ms": latency_ms,
        }  # fmt: skip

    size = predicted["size_bytes"]
    deployed = "fp32" if is_fp32 else "int8"
    files = {"model.onnx": file(deployed, predicted["latency_ms"], size, 0.0)}
    if not is_fp32:
        slower = predicted["latency_ms"] * 1.12
        files["model.fp32.onnx"] = file("fp32", slower, round(2.3 * size), 0.004)
    files["model.safetensors"] = {"sha256": "0" * 64, "bytes": size}
    return {
        "schema": 1, "run": "ab12cd34", "name": name, "space": "hybrid", "data": data,
        **{field: row[field] for field in ("key", "encoding", "arch", "policy")},
        "input": {"name": "images", "shape": ["batch", 1, 32, 32], "layout": "NCHW",
                  "dtype": "float32", "channels": "grey", "scale": 255.0, "mean": [0.13],
                  "std": [0.31], "resize": "none"},
        "classes": classes, "macs": predicted["macs"], "params": predicted["params"],
        "bit_ops": predicted["bit_ops"], "files": files,
    }  # fmt: skip


def quality(share: float, total: int) -> Json:
    correct = round(min(1.0, max(0.0, share)) * total)
    return {"fraction": correct / total, "correct": correct, "total": total,
            "log_loss": round(2.6 - 2.2 * share, 4)}  # fmt: skip


def best(rows: list[Json], count: int) -> list[Json]:
    """Trials that no other beats in accuracy, latency and size; spread out over latency."""

    def losses(row: Json) -> tuple[float, ...]:
        predicted = row["predicted"]
        return -row["metrics"]["accuracy"], predicted["latency_ms"], predicted["size_bytes"]

    def beats(a: Json, b: Json) -> bool:
        return a is not b and all(x <= y for x, y in zip(losses(a), losses(b), strict=True))

    kept = [row for row in rows if not any(beats(other, row) for other in rows)]
    kept = sorted(kept, key=lambda row: row["predicted"]["latency_ms"])
    places = [round(i * (len(kept) - 1) / max(count - 1, 1)) for i in range(count)]
    return [kept[i] for i in dict.fromkeys(places)]


def make_run(
    folder: Path,
    *,
    trials: int = 60,
    front: int = 8,
    references: bool = True,
    precision: str = "",
    data: str = "digit-pairs",
    classes: tuple[str, ...] = tuple(f"{i:02d}" for i in range(100)),
    key: Callable[[str], str] = str,
    extras: bool = False,
) -> Path:
    """Writes a whole run; `key` changes every key, `precision` forces one on every network.

    `extras` adds what only some runs have: parity, confusions, a fine-tuned member, rank fidelity.
    """
    draw = Draw(7)
    rows = []
    for number in range(trials):
        network = draw_network(draw, precision=precision)
        row = {"schema": 1, "number": number, "key": key(f"{0x3F2A9C01D4AB + number * 7919:012x}"),
               "encoding": [number], **network, "predicted": costs(network), "failure": None,
               "metrics": {"accuracy": accuracy(network, draw)}}  # fmt: skip
        row["metrics"]["log_loss"] = 2.6 - 2.2 * row["metrics"]["accuracy"]
        if number % 23 == 22:
            row |= {"metrics": {}, "failure": "stage2.block1: 2 heads do not divide width 33"}
        rows.append(row)
    scored = [row for row in rows if row["failure"] is None]
    within = [row for row in scored if row["predicted"]["latency_ms"] <= 1.15]
    members = best(within, front) if front else []
    keys = [row["key"] for row in members]
    named = _references(scored, draw, key, precision) if references and scored else []
    folder.mkdir(parents=True)
    _write_json(folder / "front.json", {
        "schema": 1, "members": keys,
        "references": [{"key": row["key"], "name": name} for name, row in named],
        "replaced": [{"key": key("0badc0ffee12"), "reason": "measured 1.31 ms, over 1.2ms"}],
        "ties": [keys[2:4]] if len(keys) > 3 else [],
        "knee": keys[len(keys) // 2] if keys else None,
    })  # fmt: skip
    for kind, name, row in [("front", "front member", row) for row in members] + [
        ("references", name, row) for name, row in named
    ]:
        written = card(row, name, draw, data, list(classes))
        _write_json(folder / kind / row["key"] / "card.json", written)
    (folder / "config.toml").write_text(CONFIG.replace('"digit-pairs"', json.dumps(data)))
    _write_json(folder / "env.json", ENVIRONMENT)
    _write_json(folder / "plan.json", PLAN)
    _write_lines(folder / "trials.jsonl", rows)
    _write_lines(folder / "events.jsonl", _events())
    _write_lines(folder / "train_log.jsonl", _train_log(draw))
    _write_json(folder / "profile" / "profile.json", _profile(draw))
    if extras:
        add_extras(folder, draw)
    return folder


def add_extras(folder: Path, draw: Draw) -> None:
    """Parity and confusions in every card, the fastest member trained further, and a measured rank fidelity."""
    front = json.loads((folder / "front.json").read_text())
    for path in sorted(folder.rglob("card.json")):
        document = json.loads(path.read_text())
        document["files"]["model.onnx"]["parity"] = {"same_answer": 0.9985, "images": 2000}
        for record in document["files"]["model.onnx"]["accuracy"].values():
            record |= confusion(record, len(document["classes"]))
        _write_json(path, document)
    source = front["members"][0]
    tuned = json.loads((folder / "front" / source / "card.json").read_text())
    tuned["key"] = f"{source}-ft0a1b"
    tuned["finetuned"] = {"from": source, "steps": 600, "epochs": 4.0, "teacher": "largest",
                          "data": tuned["data"]}  # fmt: skip
    tuned["files"]["model.onnx"]["latency"]["is_bimodal"] = True
    _write_json(folder / "front" / tuned["key"] / "card.json", tuned)
    _write_json(folder / "front.json", front | {"members": [*front["members"], tuned["key"]]})
    (folder / "finetunes" / tuned["key"]).mkdir(parents=True)
    _write_lines(folder / "finetunes" / tuned["key"] / "train_log.jsonl", _train_log(draw))
    shares = [0.5 + 0.02 * number for number in range(15)]
    rows = [{"key": f"{number:012x}", "macs": 1_000_000 * (number + 1),
             "inherited": {"log_loss": 1.0, "accuracy": draw.around(share, 0.05)},
             "alone": {"log_loss": 0.5, "accuracy": 0.2 + share}}
            for number, share in enumerate(shares)]  # fmt: skip
    _write_json(folder / "fidelity" / "fidelity.json", {
        "schema": 1, "subnets": 15, "steps": 800, "batch_size": 64, "kendall_tau": 0.714,
        "interval": [0.42, 0.88], "rows": rows,
    })  # fmt: skip
    _write_lines(folder / "beliefs.jsonl", [
        {"trials": number, "metrics": {"log_loss": {"kendall_tau": 0.5 + number / 100,
                                                    "coverage": 0.9}}}
        for number in (12, 24, 36)
    ])  # fmt: skip
    _write_json(folder / "search_plan.json", {"schema": 1, "calibration_images": 256})
    add_efficiency(folder)


def add_efficiency(folder: Path) -> None:
    """What `nas profile RUN --target onnxruntime:threads=2` writes, with the largest network too fast by far."""
    files, again, elsewhere = [], {}, {}
    for path in sorted(folder.glob("*/*/card.json")):
        document = json.loads(path.read_text())
        key = path.parent.name
        for name, facts in document["files"].items():
            if "latency" not in facts:
                continue
            ms = facts["latency"]["median_ms"]
            ideal_ms = 1.2 * ms if document["name"] == "largest fp32" else 0.3 * ms
            files.append({
                "key": key, "file": name, "latency": facts["latency"], "ideal_ms": ideal_ms,
                "efficiency": ideal_ms / ms, "predicted_ms": 0.8 * ms, "fused_ms": 0.6 * ms,
                "memory_bound_share": 0.4, "classes": class_times(ms),
                "kernels": [kernel(number) for number in range(30)],
            })  # fmt: skip
        latency = document["files"]["model.onnx"]["latency"]
        again[key] = latency
        elsewhere[key] = latency | {"threads": 2, "median_ms": 0.7 * latency["median_ms"],
                                    "interval_ms": [0.7 * v for v in latency["interval_ms"]]}  # fmt: skip
    peaks = {"macs_per_s": {"fp32": 5e10, "int8": 2e11}, "call_ms": 0.008, "place": {},
             "bandwidth": [[12288, 2e10], [1e8, 1e10]], "measured_at": "2025-01-01"}  # fmt: skip
    _write_json(folder / "efficiency/efficiency.json", {
        "schema": 1, "target": "onnxruntime", "peaks": peaks, "files": files,
    })  # fmt: skip
    _write_json(folder / "portability/portability.json", {
        "schema": 1, "own": "onnxruntime",
        "targets": {"onnxruntime": again, "onnxruntime:threads=2": elsewhere},
    })  # fmt: skip


def class_times(ms: float) -> list[Json]:
    shares = {"convolution": 0.4, "matrix product": 0.2, "attention": 0.2, "normalisation": 0.1,
              "activation": 0.03, "moving data": 0.04}  # fmt: skip
    return [{"name": name, "ms": share * ms, "share": share} for name, share in shares.items()]


def kernel(number: int) -> Json:
    """Every third one only moves data."""
    ops = 1000 if number % 3 == 0 else 1_000_000
    return {"name": f"n{number}", "op": "Transpose" if number % 3 == 0 else "Conv", "ops": ops,
            "bytes": 40_000, "waterline": 0.4, "is_memory_bound": number % 3 == 0}  # fmt: skip


def confusion(record: Json, num_classes: int) -> Json:
    """The last classes are all wrong, and each is taken for the one before it."""
    total, left = record["total"], record["total"] - record["correct"]
    labels = [total // num_classes + (k < total % num_classes) for k in range(num_classes)]
    wrong = [0] * num_classes
    for k in reversed(range(num_classes)):
        wrong[k] = min(labels[k], left)
        left -= wrong[k]
    right = [n - w for n, w in zip(labels, wrong, strict=True)]
    answers = [right[k] + wrong[(k + 1) % num_classes] for k in range(num_classes)]
    pairs = sorted(([k, (k - 1) % num_classes, n] for k, n in enumerate(wrong) if n),
                   key=lambda pair: -pair[2])  # fmt: skip
    kept = {"answers": answers, "right": right, "confused": pairs[:100]}
    return {"labels": labels, "confusion": kept}


def _references(
    rows: list[Json], draw: Draw, key: Callable[[str], str], forced: str
) -> list[tuple[str, Json]]:
    named = []
    for number, precision in enumerate(("fp32", "int8")):
        network = draw_network(draw, precision=forced or precision, is_largest=True)
        share = {"accuracy": 0.86 - 0.01 * number, "log_loss": 0.86}
        row = {"key": key(f"1a79e57{number:05x}"), "encoding": [number], **network,
               "predicted": costs(network), "metrics": share}  # fmt: skip
        named.append((f"largest {precision}", row))
    return named + [(f"random {i}", rows[5 * i]) for i in (1, 2, 3) if 5 * i < len(rows)]


def _events() -> list[Json]:
    events: list[Json] = [{"phase": "train", "event": "start", "time": "2025-01-01T00:00:00"}]
    for phase, seconds in PHASES.items():
        events.append({"phase": phase, "event": "start", "host": "a"})
        events.append({"phase": phase, "event": "end", "seconds": seconds, "host": "a"})
    text = "4.5GFLOPs does not bind at 32 px: the largest network has 58.1 MMACs"
    events.append({"phase": "plan", "event": "message", "text": text})
    return [*events, {"phase": "report", "event": "start", "host": "a"}]


def _train_log(draw: Draw) -> list[Json]:
    rows = []
    for step in range(5, 401, 5):
        loss = 0.9 + 3.7 * math.exp(-step / 110)
        rows.append({"step": step, "loss": draw.around(loss, 0.12), "images_per_s": 380.0,
                     "loss_largest": draw.around(loss - 0.15, 0.1), "learning_rate": 1e-3,
                     "loss_smallest": draw.around(loss + 0.45, 0.14)})  # fmt: skip
    return rows


def _profile(draw: Draw) -> Json:
    rows = []
    for number in range(66):
        predicted = 0.05 * 1.06 ** (number if number < 60 else 6 * (number - 55))
        rows.append({"name": f"signature {number}", "predicted_ms": predicted,
                     "measured_ms": draw.around(predicted, 0.07 * predicted),
                     "held_out": number >= 60})  # fmt: skip
    held_out = {"networks": 6, "mape": 0.071, "kendall_tau": 0.93, "max_error": 0.16}
    return {"schema": 1, "target": "onnxruntime", "held_out": held_out, "rows": rows}


def _write_json(path: Path, value: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _write_lines(path: Path, rows: list[Json]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., Path]:
    """Makes runs in folders of their own; takes what `make_run` takes."""
    made: list[Path] = []

    def new(**options: Any) -> Path:
        made.append(tmp_path / f"run{len(made)}")
        return make_run(made[-1], **options)

    return new


def make_sweep(folder: Path, runs: list[Json], *, varying: tuple[str, ...], new_run: Any) -> Path:
    """Writes a sweep: per run its settings, its status (None: open) and options of `make_run`.

    `change` of a run is called with every card of it; `folder` says whether it has one.
    """
    rows, outcomes = [], {}
    for number, run in enumerate(runs):
        name = run.get("name", f"run-{number}")
        rows.append({"name": name, "settings": run["settings"]})
        status = run.get("status", "finished")
        if status is not None:
            outcomes[name] = {"status": status, "error": run.get("error", "")}
        if run.get("folder", status == "finished"):
            made = new_run(**run.get("options", {}))
            for path in made.glob("front/*/card.json"):
                document = json.loads(path.read_text())
                run.get("change", dict)(document)
                _write_json(path, document)
            (folder / "runs").mkdir(parents=True, exist_ok=True)
            made.rename(folder / "runs" / name)
    _write_json(folder / "sweep.json", {"schema": 1, "varying": list(varying), "runs": rows})
    if outcomes:
        _write_json(folder / "outcomes.json", {"schema": 1, "runs": outcomes})
    return folder


@pytest.fixture
def new_sweep(tmp_path: Path, new_run: Callable[..., Path]) -> Callable[..., Path]:
    """Makes a sweep in a folder of its own; takes what `make_sweep` takes."""

    def new(runs: list[Json], *, varying: tuple[str, ...] = ("seed",), name: str = "sweep") -> Path:
        return make_sweep(tmp_path / name, runs, varying=varying, new_run=new_run)

    return new
