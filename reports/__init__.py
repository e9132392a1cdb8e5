"""From run directories to tables and pages: the Pareto report of a search.

Reads what `nas search` wrote and writes `report/` of the same run directory: `report.html` (one
offline file), `pareto.csv` and `report.md`. Never imports torch.
"""

from reports.build import build_report
from reports.intervals import wilson
from reports.load import load_run
from reports.tables import front_table

__all__ = ["build_report", "front_table", "load_run", "wilson"]
