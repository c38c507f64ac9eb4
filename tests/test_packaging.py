"""What an installation brings: one package, whose programs find their own rooms in anybody's folder.

The rooms are laid out here as pyproject.toml says. `nox -s package` builds and installs the wheel itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib

import pytest
from helpers.checkout import CHECKOUT

HATCH = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
WHEEL = HATCH["targets"]["wheel"]
ROOMS = ("bench", "servers", "clients")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a folder with what the wheel has in it."""
    site = tmp_path_factory.mktemp("site")
    excluded = shutil.ignore_patterns("__pycache__", *(path.rpartition("/")[2] for path in WHEEL["exclude"]))
    for here, there in WHEEL["sources"].items():
        shutil.copytree(CHECKOUT / here, site / there, ignore=excluded)
    for here, there in WHEEL["force-include"].items():
        shutil.copytree(CHECKOUT / here, site / there, dirs_exist_ok=True, ignore=excluded)
    return site


@pytest.fixture
def strangers(tmp_path):
    """Return a folder with a `bench`, a `servers` and a `clients` of somebody else."""
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("raise SystemExit('this is not ours')")
    return tmp_path


def run(path, folder, *arguments):
    """Run Python in a folder, which is first on its path as `-m` has it, and return how it ended."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_wheel_has_one_package_with_the_rooms_in_it(site):
    assert set(WHEEL["sources"]) == set(WHEEL["only-include"]) == set(ROOMS)
    assert [path.name for path in site.iterdir()] == ["echobench"]
    assert sorted(path.name for path in (site / "echobench" / "_rooms").iterdir()) == sorted(ROOMS)


def test_an_installed_check_finds_its_rooms_beside_those_of_others(site, strangers):
    done = run(site, strangers, "-m", "echobench", "check", "threads", "--case", "echo")
    assert done.returncode == 0, done.stderr
    assert ": 2 passed" in done.stdout


@pytest.mark.parametrize("room", ["clients", "servers"])
def test_each_half_of_an_installation_works_by_itself(site, strangers, room):
    done = run(site, strangers, "-m", f"echobench.{room}", "--help")
    assert done.returncode == 0, done.stderr
    assert f"python -m {room}" in done.stdout


def test_an_editable_install_finds_its_rooms_in_the_checkout(tmp_path, strangers):
    """It has the checkout on its path, by a .pth file, and the package itself as the wheel has it."""
    (folder,) = HATCH["dev-mode-dirs"]
    ((here, there),) = WHEEL["force-include"].items()
    shutil.copytree(CHECKOUT / here, tmp_path / "site" / there)
    path = os.pathsep.join([str(tmp_path / "site"), str(CHECKOUT / folder)])
    done = run(path, strangers, "-m", "echobench", "servers")
    assert done.returncode == 0, done.stderr
    assert "asyncio-streams" in done.stdout
