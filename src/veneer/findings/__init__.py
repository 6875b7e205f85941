"""What the scores say: estimates, gap closed, claims, alarms, forecasts, advice. Needs no model."""

from veneer.findings.categories import category_measurements
from veneer.findings.conclude import conclude, measurements, write_findings
from veneer.findings.estimate import estimate, estimates
from veneer.findings.gap import gap_closed, gap_closed_point

__all__ = [
    "category_measurements",
    "conclude",
    "estimate",
    "estimates",
    "gap_closed",
    "gap_closed_point",
    "measurements",
    "write_findings",
]
