"""Estimators: cycles (exact from the schedule), area, delay and a first energy model, each with its error bar.

`estimate(plan, target)` prices what a backend scheduled; `apriori(graph, target)` a graph that was not emitted;
`activity(graph, frames)` measures the toggle rates that `estimate` can use. docs/estimates.md has the formulas.
"""

from edgec.hw.estimate.apriori import apriori, apriori_area, apriori_plan
from edgec.hw.estimate.figure import Figure
from edgec.hw.estimate.model import Estimate, Row, estimate
from edgec.hw.estimate.table import table_rows
from edgec.hw.estimate.toggling import activity

__all__ = ["Estimate", "Figure", "Row", "activity", "apriori", "apriori_area", "apriori_plan", "estimate", "table_rows"]
