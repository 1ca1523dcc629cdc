"""Reference pages from the code: ``python docs/generate.py`` writes params, variables, outs, API.

The schema's own notes (the string under a field) are the text: nothing is written twice.
"""

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
HEAD = "<!-- made by docs/generate.py; change the schema's notes instead -->\n\n"


def notes(model: type[BaseModel]) -> dict[str, str]:
    """The string under each field of a class and of the classes that it is made from."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if not (isinstance(one, type) and issubclass(one, BaseModel)) or one is BaseModel:
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(one)))
        body = tree.body[0].body  # type: ignore[attr-defined]
        for field, note in pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(note, ast.Expr)
                and isinstance(note.value, ast.Constant)
            ):
                found[field.target.id] = " ".join(str(note.value.value).split())
    return found


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Sections within a field's type: of a tuple, a mapping, a choice."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inside in get_args(annotation):
        yield from models(inside)


def params_page() -> str:
    """Every param: its type, default and note."""
    from stages.params import Params

    lines = [
        "# Params",
        "",
        "What `params.yaml` may hold. A param says what an experiment is: another value is another",
        "result. Workers, devices and folders are [variables](variables.md). A field without a default",
        "has to be there; the profiles (`repo-pipeline use NAME`) have all of them.",
    ]
    seen: set[type] = set()

    def section(name: str, model: type[BaseModel]) -> None:
        if model in seen:
            return
        seen.add(model)
        told = notes(model)
        lines.extend(["", f"## {name}", "", first(model), ""])
        lines.extend(["| field | type | default | meaning |", "|---|---|---|---|"])
        inside = []
        for field, info in model.model_fields.items():
            default = "" if info.is_required() else _shown(info.default)
            shown = info.alias or field
            note = told.get(field, "").replace("|", "or")
            lines.append(f"| `{shown}` | {_bare(info.annotation)} | {default} | {note} |")
            inside += [(f"{name}.{shown}" if name != "params.yaml" else shown, one)
                       for one in models(info.annotation)]  # fmt: skip
        for path, one in inside:
            section(path, one)

    section("params.yaml", Params)
    return HEAD + "\n".join(lines) + "\n"


def _bare(annotation: Any) -> str:
    inside = list(models(annotation))
    if inside:
        return "section" if annotation is inside[0] else "sections"
    text = str(annotation).replace("typing.", "")
    name = getattr(annotation, "__name__", "")
    plain = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false"}
    if name in plain and not get_args(annotation):
        return plain[name]
    if text.startswith("Literal"):
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if text.startswith("tuple"):
        return "list"
    if text.startswith("dict"):
        return "mapping"
    choices = [_bare(one) for one in get_args(annotation) if one is not type(None)]
    return " or ".join(dict.fromkeys(choices)) or "value"


def _shown(value: Any) -> str:
    if value is PydanticUndefined:
        return "empty"
    if isinstance(value, BaseModel):
        return "see below"
    text = json.dumps(value) if not isinstance(value, tuple) else json.dumps(list(value))
    return f"`{text}`".replace("|", "or")


def first(thing: Any) -> str:
    """First paragraph of a docstring."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def opening(file: Path) -> str:
    """First paragraph of a module's docstring, without importing it (a stage brings torch)."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def variables_page() -> str:
    """Every ``REPO_*`` variable."""
    rows = json.loads((ROOT / "stages/common/data/variables.json").read_text(encoding="utf-8"))
    lines = [
        "# Variables",
        "",
        "How a run is executed: none of these changes a result. A wrong value is refused before",
        "anything starts.",
        "",
        "| variable | value | default | meaning |",
        "|---|---|---|---|",
    ]
    for name, row in rows.items():
        value = {"whole": "whole number", "flag": "0 or 1", "span": "number, or A-B"}.get(
            row["kind"], row["kind"]
        )
        if row.get("choices"):
            value = " or ".join(f"`{choice}`" for choice in row["choices"])
        if "most" in row:
            value += f", {row.get('least', 0):g} to {row['most']:g}"
        default = "none" if row["default"] is None else f"`{row['default']}`"
        lines.append(f"| `{name}` | {value} | {default} | {row['meaning'].replace('|', 'or')} |")
    return HEAD + "\n".join(lines) + "\n"


def outs_page() -> str:
    """Every stage: what it reads and what it leaves."""
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    lines = [
        "# Outs",
        "",
        "What each stage reads and leaves. An out holds no time, path or host: equal params, inputs",
        "and VERSION are equal bytes on one kind of machine. `<item>` is `<variant>-<seed>`.",
        "",
        "| stage | reads | leaves | what it does |",
        "|---|---|---|---|",
    ]
    for name, stage in graph.items():
        reads = ", ".join(f"`{_item(one)}`" for one in stage["deps"])
        outs = [
            next(iter(out)) if isinstance(out, dict) else out
            for kind in ("outs", "plots", "metrics")
            for out in stage.get(kind, [])
        ]
        leaves = ", ".join(f"`{_item(out)}`" for out in outs)
        does = opening(ROOT / "stages" / name / "stage.py")
        lines.append(f"| {name} | {reads} | {leaves} | {does.replace('|', 'or')} |")
    return HEAD + "\n".join(lines) + "\n"


def _item(path: str) -> str:
    return path.replace("${item.variant}-${item.seed}", "<item>")


def api_page() -> str:
    """Names of ``repo_model`` with the first line of their docstrings."""
    import repo_model

    lines = ["# The library", "", first(repo_model), ""]
    lines += ["`repo_model` needs torch, transformers and safetensors only.", ""]
    for name in sorted(repo_model.__all__):
        thing = getattr(repo_model, name)
        if name.startswith("Repo"):
            continue
        said = first(thing) if callable(thing) else ""
        head = f"{name}{inspect.signature(thing)}" if inspect.isfunction(thing) else name
        lines += [f"## {name}", "", "```text", head, "```", "", said, ""]
    classes = [name for name in sorted(repo_model.__all__) if name.startswith("Repo")]
    lines += ["## Classes", "", "One configuration and model for each family:", ""]
    lines += [f"- `{name}`" for name in classes]
    return HEAD + "\n".join(lines).rstrip() + "\n"


PAGES = {
    "params.md": params_page,
    "variables.md": variables_page,
    "outs.md": outs_page,
    "api.md": api_page,
}

if __name__ == "__main__":
    for page, make in PAGES.items():
        (ROOT / "docs" / page).write_text(make(), encoding="utf-8")
