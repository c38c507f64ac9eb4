"""The schema of the strictest reader of our JUnit files. What the files should say belongs to the tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lxml import etree


@cache
def schema() -> etree.XMLSchema:
    """Return Jenkins' schema.

    `junit-10.xsd` belongs to Jenkins' xunit plugin (MIT; its licence stands in the file). It is the file that pytest's
    source distribution 9.2.0 carries as testing/example_scripts/junit-10.xsd, unchanged; the plugin's later editions
    take more decimals.
    """
    return etree.XMLSchema(etree.parse(Path(__file__).with_name("junit-10.xsd")))


def junit_fault(text: str) -> str:
    """Return what Jenkins would refuse in a JUnit document; an empty text for nothing."""
    return "" if schema().validate(etree.fromstring(text.encode())) else str(schema().error_log.last_error)
