"""The settings of a workload: what each is called in a plan and on a command line, and how its text becomes fields.

One row each. Plan files, `echobench run`, `regress` and `search`, and `python -m clients` offer what stands here, so a
setting that is added here is added everywhere. What a value may be is a rule of `workload.py`. Nothing here knows
argparse, click or TOML.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clients.grammar import (
    GrammarError,
    largest,
    parse_duration_s,
    parse_sizes,
    parse_whole,
    write_duration_s,
)
from clients.shapes import Constant, Shape, parse_shape
from clients.workload import PIPELINE_MAX, REQUESTS_MAX, Arrivals, FieldError, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting. `name` is its key in a plan and a field of Workload; `fields` are others that it sets as well.

    `parse` turns a text into fields and raises GrammarError; `write` gives the text back, None where nothing is set.
    """

    name: str
    option: str
    letter: str = ""
    metavar: str
    about: str
    accepted: str
    parse: Callable[[str], Fields]
    write: Callable[[Workload], str | None]
    fields: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """The option as a command line takes it: `-c` and `--connections`."""
        return (self.letter, self.option) if self.letter else (self.option,)

    def read(self, text: str) -> Fields:
        """Return the fields that a text stands for. Raise FieldError naming the key."""
        try:
            return self.parse(text)
        except GrammarError as error:
            raise FieldError(self.name, text, self.accepted) from error


def _whole(name: str, *, metavar: str, about: str, accepted: str = "a whole number, 1 or more") -> Key:
    def write(workload: Workload) -> str | None:
        value: int | None = getattr(workload, name)
        return None if value is None else str(value)

    return Key(
        name=name,
        option=f"--{name.replace('_', '-')}",
        parse=lambda text: {name: parse_whole(text)},
        write=write,
        metavar=metavar,
        about=about,
        accepted=accepted,
    )


def _time(name: str, *, about: str, letter: str = "") -> Key:
    return Key(
        name=name,
        option=f"--{name.removesuffix('_s').replace('_', '-')}",
        metavar="TIME",
        accepted="a number of seconds, or text such as 500ms or 2min",
        parse=lambda text: {name: parse_duration_s(text)},
        write=lambda workload: write_duration_s(getattr(workload, name)),
        about=about,
        letter=letter,
    )


def _profile(shape: Shape) -> Shape | None:
    return None if isinstance(shape, Constant) else shape


def _parse_connections(text: str) -> Fields:
    shape = parse_shape(text, level=lambda level: float(parse_whole(level)))
    return {"connections": int(max(shape.levels)), "connections_profile": _profile(shape)}


def _parse_sizes(text: str) -> Fields:
    sizes = parse_sizes(text)
    return {"message_bytes": largest(sizes), "message_sizes": "" if isinstance(sizes, int) else text}


def _parse_rate(text: str) -> Fields:
    shape = parse_shape(text)
    return {"rate_per_s": shape.mean, "rate_profile": _profile(shape)}


def _write_connections(workload: Workload) -> str:
    return (workload.connections_profile or Constant(workload.connections)).text()


def _write_rate(workload: Workload) -> str | None:
    if workload.rate_per_s is None:
        return None
    return (workload.rate_profile or Constant(workload.rate_per_s)).text()


_ROWS = (
    Key(
        name="connections",
        option="--connections",
        letter="-c",
        metavar="N",
        about="how many connections; 1..64 is a ramp over the window",
        accepted="a whole number, 1 or more; a ramp 1..64 or steps 1,8,64",
        parse=_parse_connections,
        write=_write_connections,
        fields=("connections_profile",),
    ),
    Key(
        name="message_bytes",
        option="--message-bytes",
        letter="-s",
        metavar="SIZE",
        about="size of a message: 64, 1KiB, 64..4096 (uniform) or 64:9,16KiB:1 (a mixture)",
        accepted="a size of 1 byte or more, such as 64 or 1KiB; a range 64..4096 or a mixture 64:9,16KiB:1",
        parse=_parse_sizes,
        write=lambda workload: workload.message_sizes or str(workload.message_bytes),
        fields=("message_sizes",),
    ),
    Key(
        name="rate_per_s",
        option="--rate",
        metavar="PER_S",
        about="open loop: requests due per second over all connections; 1000..5000 is a ramp over the window",
        accepted="a number above 0; a ramp 1000..20000 or steps 1000,5000",
        parse=_parse_rate,
        write=_write_rate,
        fields=("rate_profile",),
    ),
    Key(
        name="arrivals",
        option="--arrivals",
        metavar="[constant|poisson]",
        about="how an open loop spaces requests",
        accepted='"constant" or "poisson", with a rate',
        parse=lambda text: {"arrivals": text},
        write=lambda workload: workload.arrivals if workload.is_open_loop else None,
    ),
    _whole(
        "pipeline",
        metavar="K",
        about="requests in flight per connection",
        accepted=f"a whole number from 1 to {PIPELINE_MAX}",
    ),
    _whole(
        "requests_per_connection",
        metavar="N",
        about="replace a connection after so many requests",
        accepted=f"a whole number from 1 to {REQUESTS_MAX}",
    ),
    _time("think_s", about="closed loop: pause between a reply and the next request"),
    _time("warmup_s", about="load before the window, which is not counted"),
    _time("duration_s", letter="-d", about="length of the window that is measured"),
    _time("timeout_s", about="a request without its whole reply by then has failed"),
)
KEYS: Mapping[str, Key] = {key.name: key for key in _ROWS}
"""The settings of a workload, by their names in a plan."""

SEED = _whole("seed", metavar="S", about="of arrivals and sizes", accepted="a whole number, 0 or more")
"""What a plan draws for each trial, and only `python -m clients` is told."""

_BY_FIELD = {field: key for key in (*_ROWS, SEED) for field in (key.name, *key.fields)}


def key_of(field: str) -> Key:
    """Return the setting that sets a field of Workload."""
    return _BY_FIELD[field]


def workload_of(texts: Mapping[str, str], *, arrivals: Arrivals = "constant") -> Workload:
    """Return the workload that texts describe, by the names of their settings; the rest has its default.

    `arrivals` are those of a rate, where the texts do not say. Raises FieldError that names the option of a setting.
    """
    try:
        return workload_from([key_of(name).read(text) for name, text in texts.items()], arrivals=arrivals)
    except FieldError as error:
        raise error.named(key_of(error.field).option) from error


def workload_from(parts: Sequence[Fields], *, arrivals: Arrivals = "constant") -> Workload:
    """Return the workload of the fields that settings gave. Raise FieldError that names a field."""
    fields = {name: value for part in parts for name, value in part.items()}
    if fields.get("rate_per_s") is not None:
        fields.setdefault("arrivals", arrivals)
    return Workload(**fields)


def texts_of(workload: Workload) -> dict[str, str]:
    """Return the texts that `workload_of` reads as this workload, by the names of their settings."""
    written = {key.name: key.write(workload) for key in (*_ROWS, SEED)}
    return {name: text for name, text in written.items() if text is not None}
