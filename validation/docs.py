"""The pages that a party reads: Great Expectations' own rendering of each part, and an index.

They show values of the rows. So they load nothing from anywhere and run no script: what Great Expectations
links to is taken out, and a policy in each page forbids the browser the rest.
"""

import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from validation.verdict import COLUMNS, ContractVerdict

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult

INDEX = "index.html"
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'\">"
)
_STYLE = (
    "<style>body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{border:1px solid #bbb;padding:.3em .6em;text-align:left;vertical-align:top}</style>"
)
_FOREIGN = re.compile(
    r"<script\b.*?</script\s*>|<(?:script|link|img|iframe|object|embed|base)\b[^>]*>",
    re.IGNORECASE | re.DOTALL,
)
_ELSEWHERE = re.compile(r'href="\.\./[^"]*"')
"""Links to pages of a site of Great Expectations', which are not made here."""
_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)


def contract_pages(
    verdict: ContractVerdict, full: "Mapping[str, ExpectationSuiteValidationResult]", title: str
) -> dict[str, str]:
    """HTML by file name: `index.html`, and a page for each part.

    Args:
        verdict: what the index lists.
        full: by part, what Great Expectations said of it, with values of the rows.
        title: heading of the index.
    """
    pages = {f"{part}.html": _part_page(result) for part, result in full.items()}
    return {INDEX: _index(verdict, title, sorted(full)), **pages}


def _part_page(result: "ExpectationSuiteValidationResult") -> str:
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    rendered: str = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(result))  # type: ignore[no-untyped-call]
    return without_foreign(rendered)


def without_foreign(page: str) -> str:
    """The page without scripts, images and links to style sheets, under a policy that lets none load."""
    bare = _ELSEWHERE.sub(f'href="{INDEX}"', _FOREIGN.sub("", page))
    begin = _HEAD.search(bare)
    place = begin.end() if begin else 0
    return f"{bare[:place]}{_POLICY}{_STYLE}{bare[place:]}"


def _index(verdict: ContractVerdict, title: str, parts: list[str]) -> str:
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in finding.cells())}</tr>"
        for finding in verdict.findings
    )
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    links = " · ".join(f'<a href="{part}.html">{part}</a>' for part in parts)
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">{_POLICY}{_STYLE}'
        f"<title>{escape(title)}</title></head><body><h1>{escape(title)}</h1>"
        f"<p>{escape(verdict.in_words())}</p><table><tr>{head}</tr>{rows}</table><p>{links}</p></body></html>"
    )
