"""The picture and the sentences of a check: nothing but names, effects and bounds."""

import base64
import xml.etree.ElementTree as ET

from tasks.drift.artifacts import check_markdown
from tasks.drift.checking import DriftCheck
from tasks.drift.plot import MOST, as_image_url, bar, drift_svg, largest, share_of_bound
from tasks.drift.words import verdict_in_words
from validation.drift.findings import DriftReport, Finding, Measure


def finding(name, *effects, bound=0.2) -> Finding:
    measures = tuple(
        Measure(f"m{n}", "t", effect, 0.001, effect, bound, 0.001, effect > bound)
        for n, effect in enumerate(effects)
    )
    drifted = any(measure.drifted for measure in measures)
    return Finding(name, "number", 300, drifted, measures, f"{name} has a sentence.")


REPORT = DriftReport(
    True, 0.01, 4, (finding("a<b", 0.1, 0.3), finding("price", 0.05), finding("empty")), ("loss",)
)


def check(report=REPORT, lasting=(), of=4) -> DriftCheck:
    names = {"party": "shop-a", "recipe": "tiny", "run": "tiny-1", "model_sha256": "f" * 64}
    return DriftCheck(
        **names,
        reference="0" * 64,
        window="1" * 64,
        rows=300,
        report=report,
        lasting=lasting,
        new_labelled=None,
        needed=min(3, of),
        of=of,
        reference_built=False,
        unchanged=False,
    )


def test_the_measure_that_is_shown_is_the_nearest_to_its_bound():
    assert largest(REPORT.findings[0]).name == "m1"
    assert largest(REPORT.findings[2]) is None
    assert share_of_bound(largest(finding("x", 9.0))) == MOST
    assert share_of_bound(largest(finding("x", 0.1, bound=0.0))) == MOST
    assert share_of_bound(largest(finding("x", 0.0, bound=0.0))) == 0.0


def test_the_picture_is_valid_and_has_a_bar_for_each_feature():
    root = ET.fromstring(drift_svg(REPORT))
    space = "{http://www.w3.org/2000/svg}"
    bars = root.findall(f"{space}rect")[1:]
    assert [text.text for text in root.findall(f"{space}text")] == ["a<b", "price", "empty"]
    widths = [float(each.get("width")) for each in bars]
    assert widths == [160.0, 26.7, 0.0]
    address = as_image_url(drift_svg(REPORT))
    assert base64.b64decode(address.partition(",")[2]).decode() == drift_svg(REPORT)


def test_the_bar_of_text_is_half_full_at_the_bound():
    assert bar(largest(finding("x", 0.2))) == "█" * 5 + "░" * 5
    assert bar(None) == "░" * 10


def test_the_page_has_a_row_for_each_feature():
    page = check_markdown(check())
    assert "| a\\<b | m1 | 0.300 | 0.2 | 0.0010 | ███████░░░ |" in page
    assert "| empty | – | – | – | – | ░" in page
    assert page.endswith("Not checked for want of labels: loss.")


def test_the_verdict_says_whether_it_has_lasted():
    assert verdict_in_words(check()) == "tiny at shop-a: a<b drifted in the last check, not yet in 3 of 4"
    lasted = check(lasting=("price",))
    assert verdict_in_words(lasted) == "tiny at shop-a: price drifted in 3 of the last 4 checks"
    once = check(lasting=("price",), of=1)
    assert verdict_in_words(once) == "tiny at shop-a: price drifted in the last check"
    calm = DriftReport(False, 0.01, 1, (finding("price", 0.05),))
    assert verdict_in_words(check(calm)) == "tiny at shop-a: nothing drifted"
