"""A figure as files hold it: its title, its SVG and its PNG. What a figure shows belongs to the other files here."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, cast

from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from bench.analysis.figures.svg import tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG_DPI = 160
COLOURS = 255


def saved(figure: Figure) -> tuple[str, str, bytes]:
    """Return the title of a figure of the light theme, and the figure as SVG and as PNG."""
    return *vector(figure), _pixels(figure)


def vector(figure: Figure) -> tuple[str, str]:
    """Return the title of a figure of the light theme, and its SVG."""
    title = " ".join(text.get_text() for text in figure.texts if text.get_fontweight() == "bold")
    title = title.replace("\N{NO-BREAK SPACE}", " ")
    vector = io.StringIO()
    figure.savefig(vector, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return title, tidy(vector.getvalue(), title)


def _pixels(figure: Figure) -> bytes:
    """Return the PNG in as many colours as one byte holds: a third of the size, without a visible difference."""
    full, small = _drawn(figure), io.BytesIO()
    # An octree takes a tenth of the time of a median cut. It blends a colour with its neighbours, and the eye sees
    # that on the background alone, which is therefore set to what it was.
    few = full.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette, corner = few.getpalette() or [], (0, 0)
    first = 3 * cast("int", few.getpixel(corner))
    palette[first : first + 3] = cast("tuple[int, int, int]", full.getpixel(corner))
    few.putpalette(palette)
    few.save(small, format="png")
    return small.getvalue()


def _drawn(figure: Figure) -> Image.Image:
    """Draw a figure in all colours. It goes on a canvas of its own, whose 20 MB are free once they are copied."""
    before = figure.canvas, figure.dpi
    canvas = FigureCanvasAgg(figure)
    try:
        figure.set_dpi(PNG_DPI)
        canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib leaves it without types
        size = canvas.get_width_height()
        pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]  # as above
        return Image.frombuffer("RGBA", size, pixels, "raw", "RGBA", 0, 1).convert("RGB")
    finally:
        figure.set_canvas(before[0])
        figure.set_dpi(before[1])
