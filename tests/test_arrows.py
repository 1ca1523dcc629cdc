"""The arrows between the packages run one way: pipeline -> stages -> repo_model."""

import ast
from pathlib import Path

import pytest

ALLOWED = {
    "repo_model": ("repo_model",),
    "stages": ("repo_model", "stages"),
    # The conductor takes params, estimates and what stages share; the work itself is a process.
    "pipeline": (
        "pipeline",
        "stages.params",
        "stages.checks",
        "stages.given",
        "stages.common",
        "stages.training.cpu_workers",
        "stages.training.params",
        "stages.training.planned",
    ),
}
PROJECT = tuple(ALLOWED)


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module)
    return {name for name in names if name.partition(".")[0] in PROJECT}


@pytest.mark.parametrize("package", ALLOWED)
def test_arrows(package: str, project_root: Path) -> None:
    files = sorted((project_root / package).rglob("*.py"))
    assert files
    for file in files:
        for name in imported(file):
            allowed = any(name == a or name.startswith(f"{a}.") for a in ALLOWED[package])
            assert allowed, f"{file.relative_to(project_root)} imports {name}"


def test_repo_model_needs_torch_transformers_and_safetensors_only(project_root: Path) -> None:
    import sys

    # huggingface_hub and yaml come with transformers; Triton is imported inside a `try`
    allowed = {"torch", "transformers", "safetensors", "triton", "huggingface_hub", "yaml"}
    allowed.add("repo_model")
    for file in (project_root / "repo_model").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom) and not node.level and node.module
                else []
            )
            for name in names:
                top = name.partition(".")[0]
                assert top in allowed or top in sys.stdlib_module_names, f"{file.name}: {name}"


def test_repo_model_has_no_circle(project_root: Path) -> None:
    """Each file can be read after those it imports, imports inside functions counted."""
    import networkx

    arrows = networkx.DiGraph()
    for file in (project_root / "repo_model").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
                arrows.add_edge(file.stem, node.module)
    assert arrows.number_of_edges() > 20
    assert not list(networkx.simple_cycles(arrows))


def test_no_stage_imports_a_check(project_root: Path) -> None:
    """Or each new check would change the stage's fingerprint, and ask for a VERSION."""
    from tests.stages.fingerprints import STAGES, closure

    for stage in STAGES:
        found = closure(f"stages.{stage}.stage")
        assert not [name for name in found if name.endswith((".check", ".checks", ".seen"))], stage


def test_the_checks_need_no_torch(project_root: Path) -> None:
    import subprocess
    import sys

    names = [
        ".".join(file.relative_to(project_root).with_suffix("").parts)
        for file in [*project_root.glob("stages/*/check.py"), project_root / "stages/checks.py"]
    ]
    assert len(names) > 6
    heavy = "{'torch', 'ray', 'dvc', 'transformers'}"
    code = f"import sys, {', '.join(names)}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project_root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
