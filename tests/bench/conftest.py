"""What tests of the bench share: the schema that the strictest reader of our JUnit files has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def junit_fault() -> Callable[[str], str]:
    """Return a function that says what Jenkins would refuse in a JUnit document; an empty text for nothing.

    `junit-10.xsd` belongs to Jenkins' xunit plugin (MIT; its licence stands in the file). It is the file that pytest's
    source distribution 9.2.0 carries as testing/example_scripts/junit-10.xsd, unchanged; the plugin's later editions
    take more decimals.
    """
    schema = etree.XMLSchema(etree.parse(Path(__file__).with_name("junit-10.xsd")))

    def fault(text: str) -> str:
        return "" if schema.validate(etree.fromstring(text.encode())) else str(schema.error_log.last_error)

    return fault
