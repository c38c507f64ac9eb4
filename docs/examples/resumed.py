"""A generator is resumed, runs to its next `yield`, and is suspended there. Both sides print what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


def greeter() -> Generator[str, str | None, None]:
    """Ask twice, and print each answer."""
    print("    generator: I run for the first time")
    name = yield "your name?"
    print(f"    generator: resumed with {name!r}")
    town = yield "your town?"
    print(f"    generator: resumed with {town!r}, and I end")


task = greeter()
print("caller: the generator exists, and not a line of it has run")
question = task.send(None)
print(f"caller: it is suspended, and asks {question!r}")
question = task.send("Ada")
print(f"caller: it is suspended, and asks {question!r}")
try:
    task.send("London")
except StopIteration:
    print("caller: it has ended")
