"""A small picture of a drift check: each feature's largest effect as a multiple of its bound. No library."""

import base64
from xml.sax.saxutils import escape

from validation.drift.findings import DriftReport, Finding, Measure

WIDTH, NAMES, ROW = 480, 150, 22
MOST = 3.0
"""Bounds that a bar is long at most; a longer one ends there."""
DRIFTED, CALM = "#c0392b", "#7f8c8d"


def largest(finding: Finding) -> Measure | None:
    """The measure of a feature that is nearest to its bound, or furthest beyond; `None` without measures."""
    return max(finding.measures, key=share_of_bound, default=None)


def share_of_bound(measure: Measure) -> float:
    """Effect over bound, at most `MOST`; a bound of 0 is passed by any effect."""
    if measure.bound == 0:
        return MOST if measure.effect > 0 else 0.0
    return min(MOST, measure.effect / measure.bound)


def drift_svg(report: DriftReport) -> str:
    """The picture as SVG: one bar a feature, and a line where effects begin to count."""
    scale = (WIDTH - NAMES - 10) / MOST
    height = ROW * len(report.findings) + 10
    bound = NAMES + scale
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    ]
    for place, finding in enumerate(report.findings):
        top = ROW * place + 5
        measure = largest(finding)
        length = scale * share_of_bound(measure) if measure else 0.0
        colour = DRIFTED if finding.drifted else CALM
        parts.append(
            f'<text x="{NAMES - 8}" y="{top + 14}" text-anchor="end">{escape(finding.feature)}</text>'
            f'<rect x="{NAMES}" y="{top + 3}" width="{length:.1f}" height="{ROW - 8}" fill="{colour}"/>'
        )
    parts.append(
        f'<line x1="{bound:.1f}" y1="0" x2="{bound:.1f}" y2="{height}" stroke="#2c3e50" '
        'stroke-dasharray="3"/></svg>'
    )
    return "".join(parts)


def as_image_url(svg: str) -> str:
    """A picture as an address that holds it: nothing is fetched to show it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def bar(measure: Measure | None) -> str:
    """The same in ten characters of text, of which five are the bound."""
    filled = round(10 * min(2.0, share_of_bound(measure)) / 2.0) if measure else 0
    return "█" * filled + "░" * (10 - filled)
