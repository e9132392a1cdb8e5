"""From run directories to tables and pages: the Pareto report of a search.

Reads what `nas search` wrote and writes `report/` of the same run directory: `report.html` (one
offline file), `pareto.csv` and `report.md`; `compare` puts finished runs side by side,
`build_sweep_report` all runs of a sweep. Never imports torch.
"""

from reports.build import (
    build_bench,
    build_comparison,
    build_methods,
    build_operators,
    build_report,
    build_sweep_report,
)
from reports.comparison import compare, comparison_json, comparison_table
from reports.intervals import wilson
from reports.load import load_run
from reports.page import embedded
from reports.records import AGAINST
from reports.sweep_numbers import sweep_json, sweep_tables
from reports.tables import (
    filter_lines,
    front_rows,
    front_table,
    gain_lines,
    pareto_frame,
    portability_table,
    robustness_table,
    trials_frame,
)

__all__ = [
    "AGAINST",
    "build_bench",
    "build_comparison",
    "build_methods",
    "build_operators",
    "build_report",
    "build_sweep_report",
    "compare",
    "comparison_json",
    "comparison_table",
    "embedded",
    "filter_lines",
    "front_rows",
    "front_table",
    "gain_lines",
    "load_run",
    "pareto_frame",
    "portability_table",
    "robustness_table",
    "sweep_json",
    "sweep_tables",
    "trials_frame",
    "wilson",
]
