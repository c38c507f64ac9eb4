"""The documents: links lead somewhere, the commands shown exist with their options, every figure names its source."""

from __future__ import annotations

import ast
import functools
import re
import shlex
import subprocess
import sys

import pytest
from helpers.checkout import CHECKOUT

from bench.cli import COMMANDS, cli
from bench.experiment.conformance import Group, cases_of

DOCUMENTS = sorted(
    str(path.relative_to(CHECKOUT))
    for pattern in ("*.md", "docs/*.md", "docs/how-to/*.md", "docs/tutorial/*.md", "results/README.md")
    for path in CHECKOUT.glob(pattern)
)
SHOWN = re.compile(r"^(?:- run: )?((?:python3? -m (?:bench|clients|servers|nox)|echobench|nox)(?: .*)?)$")
FIGURE = r"\d[\d,.]*\s?(?:replies/s|/s\b|µs|us\b|ms\b|ns\b)"  # what is measured; sizes and shares are also promised


def text_of(document):
    return (CHECKOUT / document).read_text(encoding="utf-8")


def prose_of(text):
    """Return the text without fenced blocks, where neither links nor headings are meant."""
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors_of(text):
    headings = re.findall(r"^#+ (.+)$", prose_of(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(folder, text):
    """Return the links of a document in `folder` that lead nowhere; those to other sites are not followed."""
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(text)) if not re.match(r"https?://", link)]
    return [link for link in links if not leads_somewhere(folder, text, *link.partition("#")[::2])]


def leads_somewhere(folder, text, name, anchor):
    target = folder / name
    if name and not target.exists():
        return False
    return not anchor or anchor in anchors_of(target.read_text(encoding="utf-8") if name else text)


def sections_of(text):
    return re.split(r"^(?=#+ )", prose_of(text), flags=re.MULTILINE)


def figures_without_source(text):
    """Return the headings of sections that show a plot of results or a table of figures, and no line `Source: ...`."""
    found = []
    for section in sections_of(text):
        without_code = re.sub(r"`[^`]*`", "", section)
        shows = re.search(r"!\[.*\]\(.*results/", section) or re.search(rf"^\|.*{FIGURE}", without_code, re.MULTILINE)
        if shows and not re.search(r"^Source: .*`", section, re.MULTILINE):
            found.append(section.partition("\n")[0])
    return found


def shown_commands(text):
    """Return the commands that a document shows: in code spans, in fenced blocks (continued lines joined), indented."""
    prose = prose_of(text)
    blocks = re.findall(r"^ *```[^\n]*\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r">-\n\s+|\\\n\s*|\n\s+(?=--)", " ", block).splitlines()]
    lines += re.findall(r"^ {4,}(\S.*)$", prose, flags=re.MULTILINE)
    lines += re.findall(r"`([^`]+)`", prose)
    found = [SHOWN.match(" ".join(line.split())) for line in lines]
    return [match[1].replace("…", "") for match in found if match]


def wrong_with(command):
    """Say what is wrong with a shown command, or return None."""
    words = shlex.split(command)
    words = words[2:] if words[0].startswith("python") else words
    check = {"bench": of_bench, "echobench": of_bench, "clients": of_clients, "servers": of_servers, "nox": of_nox}
    return check[words[0]](words[1:])


def options_in(arguments):
    return [word.partition("=")[0] for word in arguments if re.match(r"--?[a-z]", word)]


def of_bench(arguments):
    if not arguments:
        return None
    name, *given = arguments
    if name not in COMMANDS:
        return f"there is no command {name}"
    known = {"--help", *(option for parameter in cli.get_command(None, name).params for option in parameter.opts)}
    return next((f"{name} has no {option}" for option in options_in(given) if option not in known), None)


@functools.cache
def clients_help():
    return subprocess.run(
        [sys.executable, "-m", "clients", "--help"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout


def of_clients(arguments):
    known = re.findall(r"--?[\w-]+", clients_help())
    return next((f"clients has no {option}" for option in options_in(arguments) if option not in known), None)


def of_servers(arguments):
    name = next((word for word in arguments if not word.startswith("-")), "NAME")
    stands_for_any = name.isupper()
    exists = (CHECKOUT / "servers" / f"{name.replace('-', '_')}.py").exists()
    return None if stands_for_any or exists else f"there is no server {name}"


@functools.cache
def sessions():
    tree = ast.parse((CHECKOUT / "noxfile.py").read_text())
    decorated = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    return {*decorated, "tests"}


def of_nox(arguments):
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    asked = [re.sub(r"-3\.\d+$", "", word) for word in ours if not word.startswith("-")]
    return next((f"there is no session {name}" for name in asked if name not in sessions()), None)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_section_stands_twice(document):
    sections = re.findall(r"^## .*", (CHECKOUT / document).read_text(), re.MULTILINE)
    assert len(sections) == len(set(sections))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    assert broken_links((CHECKOUT / document).parent, text_of(document)) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_exist_with_their_options(document):
    wrong = {command: why for command in shown_commands(text_of(document)) if (why := wrong_with(command))}
    assert wrong == {}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_figures_name_their_source(document):
    assert figures_without_source(text_of(document)) == []


def test_the_main_commands_are_among_those_that_are_checked():
    assert {"python3 -m nox -s bench", "python3 -m nox -s tests"} <= set(shown_commands(text_of("README.md")))
    assert "python3 -m servers threads --port 5433" in shown_commands(text_of("docs/how-to/index.md"))
    ci = shown_commands(text_of("docs/ci.md"))
    assert any(command.startswith("echobench regress --base") and "--junit" in command for command in ci)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("`echobench rum`", "there is no command rum"),
        ("    python3 -m bench doctor --jason", "doctor has no --jason"),
        ("```yaml\n- run: >-\n    echobench doctor\n    --out x\n```\n", "doctor has no --out"),
        ("`python -m clients HOST:PORT --rates 5`", "clients has no --rates"),
        ("`python -m servers thread --port 0`", "there is no server thread"),
        ("`nox -s test -- -k x`", "there is no session test"),
        ("```sh\nechobench run \\\n  --jason\n```\n", "run has no --jason"),
        ("```{toctree}\nx\n```\n\n   ```sh\n   echobench rum\n   ```\n", "there is no command rum"),
        ("`nox -s tests-3.12`", None),
        ("`python -m servers NAME --port 0`", None),
    ],
)
def test_the_checker_reads_commands(text, why):
    (command,) = shown_commands(text)
    assert wrong_with(command) == why


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](b.md)", ["b.md"]),
        ("[a](#b-c)", ["#b-c"]),
        ("# B, c!\n[a](#b-c)", []),
        ("[a](c.md#d)", ["c.md#d"]),
        ("[a](c.md#heading) [x](https://example.org/nowhere)", []),
        ("```\n[a](b.md)\n```\n", []),
    ],
)
def test_the_checker_reads_links(tmp_path, text, broken):
    (tmp_path / "c.md").write_text("## Heading\n")
    assert broken_links(tmp_path, text) == broken


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# A\n\n| x | 52,300/s |\n", ["# A"]),
        ("# A\n\n![p](results/x.svg)\n", ["# A"]),
        ("# A\n\n| x | 52,300/s |\n\nSource: `nox -s bench`.\n", []),
        ("# A\n\n| x | 1.5 µs |\n\n# B\n\nSource: `nox -s bench`.\n", ["# A"]),
        ("# A\n\n| `--think 5ms` | pause |\n", []),
    ],
)
def test_the_checker_finds_figures(text, found):
    assert figures_without_source(text) == found


def test_every_conformance_case_is_described():
    rows = [f"| `{case.name}` | {case.group} | {case.statement} |" for case in cases_of(*Group)]
    shown = [line for line in text_of("docs/conformance.md").splitlines() if re.match(r"\| `[\w-]+` \| \w+ \|", line)]
    assert shown == rows


def test_two_commands_in_a_virtual_environment_set_up():
    """The README stays short, and leads with an environment, because Debian's pip installs nowhere else (PEP 668)."""
    readme = text_of("README.md")
    assert len(readme.splitlines()) < 100
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL))
    first, second, third, fourth = blocks.splitlines()[:4]
    assert (first, second) == ("python3 -m venv .venv && . .venv/bin/activate", "python3 -m pip install nox")
    assert (third, fourth) == ("python3 -m nox -s bench", "python3 -m nox -s tests")


def test_every_session_is_described():
    shown = set(re.findall(r"^\| `nox -s (\w+)", text_of("CONTRIBUTING.md"), re.MULTILINE))
    assert shown == sessions()
