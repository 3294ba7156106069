"""The outcome of a round trip as JUnit's XML."""

from xml.etree import ElementTree

from dbkit.redaction import redact
from dbkit.reports.paths import display_path
from dbkit.reports.text import describe_coverage
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome


def render_roundtrip(outcome: Outcome) -> str:
    """Render a test suite with one test for each revision."""
    suite = ElementTree.Element(
        "testsuite",
        name="dbkit roundtrip",
        tests=str(len(outcome.revisions)),
        failures=str(len(outcome.failed)),
        time=f"{outcome.seconds:.3f}",
    )
    for each in outcome.revisions:
        _add_case(suite, each)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def _add_case(suite: ElementTree.Element, each: RevisionOutcome) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname="roundtrip",
        name=_clean(each.name),
        file=display_path(each.path),
        time=f"{each.seconds:.4f}",
    )
    findings = "\n".join(finding.words for finding in each.findings)
    outputs = [describe_coverage(each.coverage)]
    if each.failed:
        message = each.findings[0].words if each.findings else each.verdict.value
        failure = ElementTree.SubElement(case, "failure", type=each.verdict, message=_clean(message))
        failure.text = _clean(findings)
    elif each.accepted is not None:
        outputs = [f"accepted {each.verdict}: {each.accepted}", findings, *outputs]
    if any(outputs):
        output = ElementTree.SubElement(case, "system-out")
        output.text = _clean("\n".join(filter(None, outputs)))
    if each.warnings:
        warning = ElementTree.SubElement(case, "system-err")
        warning.text = _clean("\n".join(f"warning: {finding.words}" for finding in each.warnings))


def _clean(text: str) -> str:
    """Remove secrets, and replace characters that XML 1.0 cannot hold."""
    return "".join(letter if letter in "\t\n" or letter >= " " else "�" for letter in redact.text(text))
