"""The plotting library of the page: the files are those of the version that is named, with their licence."""

from __future__ import annotations

from bench.analysis.figures import library


def test_the_vendored_files_are_those_of_the_version():
    assert library.sums() == library.SHA256
    assert {path.name for path in library.VENDOR.iterdir()} == set(library.FILES)
    assert f"uPlot (v{library.VERSION})" in library.script()
    assert library.VERSION in library.SOURCE


def test_the_inlined_library_bears_its_licence_and_ends_no_script():
    text = library.script()
    assert text.index("The MIT License (MIT)") < text.index("var uPlot=")
    assert "Copyright (c)" in text
    assert "</script" not in text.lower()
    assert "</style" not in library.style().lower()
