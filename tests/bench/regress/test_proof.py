"""What each arm of two revisions loads, with real servers: its own files, or a refusal, or a doubt that is said."""

from __future__ import annotations

import sys

import pytest
from helpers.project import Project

from bench.errors import UsageError
from bench.regress import arms
from bench.regress.proof import Remark, believed, prove
from bench.regress.request import Request, prepared
from bench.regress.sentences import said_of
from bench.verdict.values import CellVerdict, Comparison
from bench.verdict.words import Word
from clients.workload import Workload

PYTHON = getattr(sys, "_base_executable", sys.executable)
"""The Python outside of a virtual environment, which reads what is installed for the user."""

COMMAND = f"{PYTHON} -m myserver --port {{port}}"
FINDER = (
    "import sys\nMAPPING: dict[str, str] = {{'myserver': {package!r}}}\ndef install(): sys.path.append({folder!r})\n"
)


@pytest.fixture
def proven(project):
    """Return a function that builds both arms, HEAD^ and the working tree, and returns what was not proven of them."""

    def look(command=COMMAND, setup="", **workload):
        asked = Workload(connections=1, **workload)
        request = Request(here=project.root, workload=asked, base="HEAD^", command=command, setup=setup, ready="port")
        with prepared(request) as built:
            return [remark.text for remark in prove(built).values()]

    return look


@pytest.fixture
def in_src(project):
    """Commit two revisions with the package in `src`, from where nothing imports it."""
    project.commit(0)
    (project.root / "src").mkdir()
    project.git("mv", "myserver", "src/myserver")
    project.git("commit", "--quiet", "--message=src")
    (project.root / "src" / "myserver" / "__init__.py").write_text("BURN = 9\n")
    project.commit()
    return project.root / "src"


@pytest.fixture
def user_site(tmp_path, monkeypatch):
    """Return a folder of packages that are installed for the user alone."""
    monkeypatch.setenv("PYTHONUSERBASE", str(tmp_path / "user"))
    folder = tmp_path / "user" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    folder.mkdir(parents=True)
    return folder


def test_arms_that_run_their_own_code_are_believed(project, proven):
    project.commit(0)
    project.commit(9)
    assert proven() == []


@pytest.mark.parametrize("kind", ["path", "finder"])
def test_an_editable_install_of_the_checkout_is_refused(in_src, user_site, proven, kind):
    if kind == "path":
        (user_site / "echo.pth").write_text(f"{in_src}\n")
    else:
        (user_site / "echo.pth").write_text("import __editable___echo_finder; __editable___echo_finder.install()")
        finder = FINDER.format(package=str(in_src / "myserver"), folder=str(in_src))
        (user_site / "__editable___echo_finder.py").write_text(finder)
    with pytest.raises(UsageError, match=r"loads .*/src/myserver/\S+ of your checkout \(.*/echo.pth leads there\)"):
        proven()


def test_what_an_arm_could_import_from_the_checkout_is_refused(project, in_src, user_site, proven):
    code = (in_src / "myserver" / "__main__.py").read_text()
    (in_src.parent / "serve.py").write_text(code)
    project.commit()
    project.commit()
    (in_src / "myserver" / "__init__.py").write_text("BURN = 10\n")
    (user_site / "echo.pth").write_text(f"{in_src}\n")
    with pytest.raises(UsageError, match=r"echo.pth lets .* import from .*/src of your checkout"):
        proven(f"{PYTHON} serve.py --port {{port}}")


def test_an_editable_install_that_the_arms_own_code_precedes_is_fine(project, user_site, proven):
    (user_site / "echo.pth").write_text(f"{project.root}\n")
    project.commit(0)
    project.commit(9)
    assert proven() == []


def test_a_file_that_both_set_ups_wrote_is_refused(project, proven, tmp_path, monkeypatch):
    monkeypatch.setattr(arms, "VENV", [*arms.VENV, "--without-pip"])
    project.commit(0)
    project.commit(9)
    shared = tmp_path / "svc.py"
    with pytest.raises(UsageError, match=f"both arms load {shared}, which was written since the first set-up began"):
        proven(f"{PYTHON} {shared} --port {{port}}", f"cp myserver/__main__.py {shared}")


def test_a_cache_whose_files_are_named_by_content_may_be_shared(project, proven, tmp_path, monkeypatch):
    """As that of `go run`, whose parts of the standard library both arms map."""
    monkeypatch.setattr(arms, "VENV", [*arms.VENV, "--without-pip"])
    project.commit(0)
    project.commit(9)
    part = tmp_path / f"{'0123456789abcdef' * 4}-d"
    assert proven(f"{COMMAND} {part}", f"touch {part}") == []


def test_an_arm_that_runs_the_files_of_the_other_is_refused(project, proven, tmp_path, monkeypatch):
    monkeypatch.setattr(arms, "VENV", [*arms.VENV, "--without-pip"])
    project.commit(0)
    project.commit(9)
    current = tmp_path / "current"
    with pytest.raises(UsageError, match=r"HEAD\^ .* loads \S+/head/tree/myserver/\S+, which belongs to the other arm"):
        proven(f"{PYTHON} {current}/myserver/__main__.py --port {{port}}", f'ln -sfn "$PWD" {current}')


def test_a_copy_that_both_arms_run_is_said(in_src, proven, monkeypatch, tmp_path):
    (tmp_path / "installed").mkdir()
    (in_src / "myserver").rename(tmp_path / "installed" / "myserver")
    (in_src / "other").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "installed"))
    (said,) = proven()
    assert said.startswith("the revisions differ in 3 files (src/myserver/__init__.py, ")
    assert "no arm loaded a file of its own, so the difference was not measured" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("notes.c", "the revisions differ in 1 file (notes.c), but each arm loaded 2 files of its own, equal in both"),
        ("docs/notes.c", "the server loads nothing of what changed: 1 file (docs/notes.c)"),
        ("README.md", "the server loads nothing of what changed: 1 file (README.md)"),
    ],
)
def test_a_difference_that_no_arm_loads_is_said(project, proven, name, said):
    project.commit(0)
    (project.root / name).parent.mkdir(exist_ok=True)
    (project.root / name).write_text("")
    project.commit()
    (found,) = proven()
    assert found.startswith(said)


def test_equal_revisions_are_said_to_be_the_same_code(project, proven):
    project.commit(0)
    project.commit()
    assert proven() == ["both arms are the same code"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of opened files")
def test_any_file_that_an_arm_reads_is_a_difference(project, proven):
    """An isolated Python says nothing of its modules, as no other program does."""
    project.commit(0)
    code = (project.root / "myserver" / "__main__.py").read_text()
    (project.root / "serve.py").write_text(f"open('burn.txt').read()\n{code}")
    for burn in "01":
        (project.root / "burn.txt").write_text(burn)
        project.commit()
    command = f"{PYTHON} -I serve.py --port {{port}}"
    assert proven(command) == []
    (project.root / "notes").write_text("")
    project.commit()
    (said,) = proven(command)
    assert "each arm loaded 2 files of its own" in said


def test_a_server_that_does_not_start_is_left_to_the_measurement(project, proven):
    project.commit(0)
    project.commit(9)
    assert proven(f"{PYTHON} -m nothing {{port}}") == []


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        (Word.OK, Word.INCONCLUSIVE),
        (Word.IMPROVED, Word.INCONCLUSIVE),
        (Word.INCONCLUSIVE, Word.INCONCLUSIVE),
        (Word.REGRESSED, Word.REGRESSED),
        (Word.INVALID, Word.INVALID),
    ],
)
def test_what_was_not_proven_is_never_fine(word, becomes):
    cells = tuple(CellVerdict(cell=name, word=word, reason="because") for name in ("one", "other"))
    found = believed(Comparison(cells=cells, looks=(), alpha=0.01), {"one": Remark("nothing differs")})
    assert [cell.word for cell in found.cells] == [becomes, word]
    assert ("nothing differs" in found.cells[0].noted(found.cells[0].reason)) == (word is not Word.INVALID)
    assert found.cells[1].reason == "because"


def test_what_is_known_to_be_equal_may_be_fine():
    cell = CellVerdict(cell="one", word=Word.OK, reason="not slower")
    whole = Comparison(cells=(cell,), looks=(), alpha=0.01)
    (found,) = believed(whole, {"one": Remark("the same code", may_be_fine=True)}).cells
    assert (found.word, said_of(found, 1.0)) == (Word.OK, "not slower; the same code")


@pytest.fixture
def two_folders(tmp_path):
    """Return two folders with the server of a project in each, and a function that says what is found of them."""
    for name in ("one", "two"):
        Project(tmp_path / name).write(0)

    def look(command="{python} -I {folder}/myserver/__main__.py --port {{port}}"):
        specs = [command.format(python=PYTHON, folder=tmp_path / name) for name in ("one", "two")]
        request = Request(here=tmp_path, workload=Workload(connections=1), a=specs[0], b=specs[1], ready="port")
        with prepared(request) as asked:
            return [remark.text for remark in prove(asked).values()]

    return tmp_path / "one", tmp_path / "two", look


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of opened files")
def test_two_folders_whose_servers_load_the_same_are_said(two_folders):
    """As where somebody forgot to build anew: the sources differ, and the programs do not."""
    _, other, look = two_folders
    assert look() == ["both arms are the same code"]
    (other / "myserver" / "fast.c").write_text("")
    (said,) = look()
    assert said == (
        "the folders differ in 1 file (myserver/fast.c), but each arm loaded 1 file of its own, equal in both, so the"
        " difference was not measured"
    )
    (other / "myserver" / "fast.c").rename(other / "README.md")
    assert look() == ["the server loads nothing of what changed: 1 file (README.md)"]


def test_two_folders_that_run_the_code_of_one_are_said(two_folders, monkeypatch):
    """An editable install of one of them, which PYTHONPATH stands for, wins in both."""
    one, other, look = two_folders
    (other / "myserver" / "__init__.py").write_text("BURN = 9\n")
    monkeypatch.setenv("PYTHONPATH", str(one))
    for folder in (one, other):
        (folder / "serve.py").write_text("import runpy\nrunpy.run_module('myserver', run_name='__main__')\n")
    (said,) = look("{python} -P {folder}/serve.py --port {{port}}")
    assert said.startswith(
        "the folders differ in 1 file (myserver/__init__.py), but each arm loaded 3 files of its own"
    )
