"""Slurm as a target, as far as it goes without Slurm; tests/stress/test_slurm.py has a real one."""

from pathlib import Path

import pytest

from pipeline.cluster_file import ClusterFile
from pipeline.remote.api import Jobs
from pipeline.remote.places import place
from pipeline.remote.slurm import Slurm
from stages.common.errors import UserError


@pytest.mark.parametrize(
    ("address", "runs", "found"),
    [
        ("slurm:/shared/a", "/shared/b", "/shared/a"),
        ("slurm:", "/shared/b", "/shared/b"),
        ("slurm:", None, "/from/variable"),
    ],
)
def test_the_address_names_the_target_and_its_shared_folder(
    address: str, runs: str | None, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_RUNS", "/from/variable")
    made, described = place(address, ClusterFile(runs=runs, slurm=["--time=9"]))
    assert isinstance(made, Slurm) and made.options == ("--time=9",)
    assert made.address == f"slurm:{found}" == described.address and described.runs == found
    again, _ = place(made.address)  # as a run that is remembered names it
    assert isinstance(again, Slurm) and again.address == made.address


def test_any_other_address_is_rays() -> None:
    assert isinstance(place("http://127.0.0.1:8265")[0], Jobs)


@pytest.mark.parametrize(
    "option", ["partition=gpu", "--output=x", "-o", "-J", "--array=1-3", "--wrap=ls"]
)
def test_an_option_that_cannot_be_is_named(option: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=option):
        Slurm(tmp_path, [option])


@pytest.mark.parametrize(
    "option", ["--partition=gpu", "-pgpu", "--nodes=2", "--exclusive", "--no-kill"]
)
def test_an_option_of_the_site_is_taken(option: str, tmp_path: Path) -> None:
    assert Slurm(tmp_path, [option]).options == (option,)


def test_a_machine_without_slurm_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"no `sbatch` here.*login node"):
        Slurm(tmp_path).check()


def test_a_package_is_unpacked_once(tmp_path: Path) -> None:
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("a/b", "c")
    slurm = Slurm(tmp_path)
    first = slurm.upload("_ray_pkg_x.zip", buffer.getvalue())
    assert (Path(first) / "a" / "b").read_text() == "c"
    assert slurm.upload("_ray_pkg_x.zip", b"not read") == first
    assert [path.name for path in Path(first).parent.iterdir()] == ["_ray_pkg_x"]
