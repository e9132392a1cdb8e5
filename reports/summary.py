"""What a run was and how far its numbers can be trusted, in sentences.

Plain text, not escaped: whoever puts it into a page or a Markdown file escapes it there.
"""

from collections.abc import Callable

from nas.problem.budget import format_value
from nas.problem.drop import DROP
from reports import text
from reports.documents import as_number
from reports.records import LimitRow, Member, ModelFile, RunTables

NOT_MEASURED = "not measured"
WITHOUT_EFFECT = ": every network is within it, so it excludes none"
NO_FIDELITY = "not measured; run: nas fidelity RUN"


def title(run: RunTables) -> str:
    """ "hybrid on digit-pairs"."""
    model = str(run.config.get("model") or "").rpartition(":")[2]
    what = model or run.config.get("space", "unnamed space")
    return f"{what} on {run.config.get('data', 'unnamed data')}"


def headline(run: RunTables) -> str:
    """One or two sentences: how many networks, and over which range."""
    times = _span([m.deployed.latency.median_ms for m in run.front], text.significant)
    shown = run.task.shown
    scores = _span([m.deployed.search.shown for m in run.front], shown.number)
    reach = [f"{times} ms{per_batch(run)}"] if times else []
    reach += [f"{text.with_unit(scores, shown.unit)} {shown.title} on search"] if scores else []
    where = f": {', '.join(reach)}" if reach else ""
    found = f"{plural(len(run.front), 'network')} on the front{where}. {trial_count(run)}."
    return f"{found} Failed: {run.failure}" if run.failure else found


def per_batch(run: RunTables) -> str:
    """ " per batch of 8"; "" where a call has one image."""
    batches = (member.deployed.latency.batch for member in run.members)
    batch = next(filter(None, batches), 1)
    return "" if batch == 1 else f" per batch of {batch}"


def _span(values: list[float | None], show: Callable[[float], str]) -> str:
    """From the lowest to the highest known value; empty when none is known."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return ""
    low, high = show(known[0]), show(known[-1])
    return low if low == high else f"{low} to {high}"


def trial_count(run: RunTables) -> str:
    """ "60 trials, 2 of them failed"."""
    failed = sum(trial.failure is not None for trial in run.trials)
    return plural(len(run.trials), "trial") + (f", {failed} of them failed" if failed else "")


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def facts(run: RunTables) -> list[tuple[str, str]]:
    """What was run and how far to trust it, as (name, value)."""
    budgets = [("budget", budget(limit) + left_out_by(run, limit)) for limit in run.limits]
    budgets = budgets or [("budget", "none")]
    phases = [
        f"{phase.name} {text.MISSING if phase.seconds is None else text.seconds(phase.seconds)}"
        for phase in run.phases
    ]
    return [
        ("controller", str(run.config.get("controller", text.MISSING))),
        *left_out(run),
        *budgets,
        ("measured on", measured_on(run)),
        *([("trained on", run.trained_by)] if run.trained_by else []),
        ("time", "; ".join(phases) or text.MISSING),
        *planned(run),
        *((f"does it pay: {option}", found) for option, found in run.pays),
        ("latency prediction, networks held out", profile_error(run)),
        ("latency prediction, exported files", files_error(run)),
        (f"rank fidelity of inherited {run.task.shown.title}", fidelity(run)),
        *checks(run),
    ]


def left_out_by(run: RunTables, limit: LimitRow) -> str:
    """How many measured networks the limit kept from the front: "; left out: 3 measured networks".

    Only those are counted that competed with it as the first limit that they miss.
    """
    names = (limit.text,) if limit.metric == DROP else (f"measured {limit.metric} ",)
    count = sum(any(name in reason for name in names) for _, reason in run.replaced)
    return f"; left out: {plural(count, 'measured network')}" if count else ""


def left_out(run: RunTables) -> list[tuple[str, str]]:
    """How many images could not be read, if there were such."""
    return [("corrupt images, left out", str(run.num_corrupt))] if run.num_corrupt else []


def planned(run: RunTables) -> list[tuple[str, str]]:
    """Which sizes and operators the time was thought to teach, what was expected, and what came.

    A network that was brought has no operators to choose.
    """
    operators, offered = run.sizes.get("operators"), run.sizes.get("offered")
    if not isinstance(operators, list) or not isinstance(offered, list):
        return []
    largest = as_number(run.sizes.get("max_macs"))
    size = "of all sizes" if largest is None else f"up to {format_value('macs', largest)}"
    names = ", ".join(map(str, operators))
    sizes = f"networks {size}, {len(operators)} of {plural(len(offered), 'operator')}: {names}"
    expected = as_number(run.sizes.get("expected"))
    shown = run.task.shown
    scored = [trial.shown for trial in run.trials if trial.shown is not None]
    hope, came = "nothing expected", NOT_MEASURED
    if expected is not None:
        hope = f"expected {text.with_unit(text.score(expected, shown), shown.unit)}"
    if scored:
        best = text.with_unit(text.score(shown.best_of(scored), shown), shown.unit)
        came = f"best of {len(scored)} scored {best}"
    planned_sizes = [("planned sizes", sizes)] if offered else []
    return [*planned_sizes, (f"{shown.title} with shared weights", f"{hope}; {came}")]


def checks(run: RunTables) -> list[tuple[str, str]]:
    """What was checked on exported files, as (name, value)."""
    if not run.members:
        return []
    timed = [m.deployed for m in run.members if m.deployed.latency.median_ms is not None]
    split = sum(file.latency.is_bimodal for file in timed)
    latency = f"{split} of {plural(len(timed), 'deployed file')} timed in two modes"
    images = run.plan.get("calibration_images")
    calibration = f"{images} images" if images else "number of images not recorded"
    if ranges := run.plan.get("calibration"):
        calibration += f", ranges of int8 by {ranges}"
    return [
        ("calibration of batch norm and quantizers", calibration),
        ("same answers before and after export", _parity(run)),
        ("bimodal latency", latency if timed else NOT_MEASURED),
    ]


def meaning_of_patterns(run: RunTables) -> str | None:
    """What sparsity patterns do here and elsewhere; None where no network has one."""
    stages = (s for m in run.members for s in text.stages(m.arch, m.policy))
    names = dict.fromkeys(stage.pattern for stage in stages if stage.pattern)
    if not names:
        return None
    return (
        f" A sparsity pattern ({', '.join(names)}) gives no speed-up on this target: its kernels "
        "are dense, and latency, MACs and size are theirs. Modelled: MACs and size on a device "
        "with kernels for the pattern, positions of weights included."
    )


def _parity(run: RunTables) -> str:
    found = [m.deployed.parity for m in run.members if m.deployed.parity is not None]
    if not found:
        return NOT_MEASURED
    worst = min(found, key=lambda parity: parity.same_answer)
    images = "" if worst.images is None else f" of {plural(worst.images, 'image')}"
    share = text.percent_at_least(worst.same_answer)
    return f"at least {share} %{images}, in {plural(len(found), 'network')}"


def fidelity(run: RunTables) -> str:
    """How well the inherited loss ranks: "Kendall tau 0.71 (0.42 to 0.88), 15 subnets"."""
    found = run.fidelity
    if found is None:
        return NO_FIDELITY
    tau = "not defined" if found.kendall_tau is None else f"{found.kendall_tau:.2f}"
    low, high = found.interval or (None, None)
    bounds = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
    parts = [
        f"Kendall tau {tau}{bounds}",
        plural(found.num_subnets, "subnet") if found.num_subnets is not None else "",
        f"{found.steps} steps each" if found.steps is not None else "",
        f"batches of {found.batch_size}" if found.batch_size is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def files_error(run: RunTables) -> str:
    """How far predicted latency was from that of the exported files."""
    errors = [
        abs(predicted - measured) / measured
        for _, _, measured, predicted in predicted_files(run)
        if measured > 0
    ]
    if not errors:
        return NOT_MEASURED
    mean, worst = text.percent(sum(errors) / len(errors)), text.percent(max(errors))
    return f"mean error {mean} % on {plural(len(errors), 'file')}, at worst {worst} %"


def predicted_files(run: RunTables) -> list[tuple[Member, ModelFile, float, float]]:
    """Every exported file whose latency was measured and predicted: both in ms."""
    return [
        (member, file, file.latency.median_ms, file.latency_predicted_ms)
        for member in run.members
        for file in member.files
        if file.latency.median_ms is not None and file.latency_predicted_ms is not None
    ]


def budget(limit: LimitRow) -> str:
    """In words: "1.2ms binds (at most 1.2 ms; largest found 2.9 ms)"."""
    words = " ".join(part for part in (limit.text, verdict(limit)) if part)
    detail = budget_detail(limit)
    return f"{words} ({detail})" if detail else words


def loss_that_ranks(run: RunTables) -> str:
    """What is not usual about it, as a sentence; "" if nothing is."""
    if run.plan.get("balanced_loss") is not True:
        return ""
    return (
        f"Networks are ranked by a {run.task.loss.title} in which classes count alike, however "
        "many images they have: the mean of those of classes, as in training."
    )


def verdict(limit: LimitRow) -> str:
    """Whether it excludes any network; empty if the run did not record that."""
    return {None: "", True: "binds", False: "does not bind"}[limit.binds]


def budget_detail(limit: LimitRow) -> str:
    """What is limited, how far the largest network goes, and what it means if that is within."""
    if limit.max is None:
        return ""
    if limit.metric == DROP:
        return "against the network as it was brought, in fp32, on the search split"
    found = "largest found" if limit.metric == "latency_ms" else "largest network"
    largest = (
        "" if limit.largest is None else f"; {found} {format_value(limit.metric, limit.largest)}"
    )
    meaning = "" if limit.binds is not False else WITHOUT_EFFECT
    return f"at most {format_value(limit.metric, limit.max)}{largest}{meaning}"


def measured_on(run: RunTables) -> str:
    """Runtime, processor and protocol of the first file that was timed."""
    timed = [m.deployed.latency for m in run.members if m.deployed.latency.median_ms is not None]
    if not timed:
        return NOT_MEASURED
    first = timed[0]
    parts = [
        f"{first.runtime} {first.version}".strip(),
        first.options,
        f"{first.cpu} ({first.instruction_set})" if first.instruction_set else first.cpu,
        plural(first.threads, "thread") if first.threads is not None else "",
        f"batch {first.batch}" if first.batch is not None else "",
        f"{first.processes} fresh processes" if first.processes is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def profile_error(run: RunTables) -> str:
    """The latency profile's own error on networks it was not fitted on."""
    profile = run.profile
    if profile is None or profile.mape is None:
        return NOT_MEASURED
    networks = "" if profile.num_networks is None else f" on {profile.num_networks} networks"
    worst = "" if profile.max_error is None else f", at worst {text.percent(profile.max_error)} %"
    tau = "" if profile.kendall_tau is None else f", Kendall tau {profile.kendall_tau:.2f}"
    return f"mean error {text.percent(profile.mape)} %{networks}{worst}{tau}"
