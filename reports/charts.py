"""Every plot of a page as JSON for its script: texts, ranges and shapes are decided in Python."""

from reports import hypervolumes
from reports.axes import Json
from reports.curves import beliefs_plot, finetune_plot, growth_plot, training_plot
from reports.efficiency import gap_plot
from reports.front_plot import front_plot
from reports.records import RunTables
from reports.scatters import fidelity_plot, latency_plot, operator_mix_plot


def plots(run: RunTables) -> Json:
    """Every plot of a run's page by name; None where there is nothing to draw."""
    front = front_plot(run)
    return {
        "front": None if front is None else {"type": "front", **front},
        "growth": growth_plot(hypervolumes.growth(run)),
        "mix": operator_mix_plot(run),
        "latency": latency_plot(run),
        "fidelity": fidelity_plot(run),
        "training": training_plot(run),
        "finetuning": finetune_plot(run),
        "beliefs": beliefs_plot(run),
        "gap": gap_plot(run),
    }
