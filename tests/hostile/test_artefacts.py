"""Checkpoints, samples and locks that another has written to: nothing runs, one line each."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.common.errors import UserError
from stages.common.files import read_json, sha256
from stages.common.printable import printable
from stages.common.reading import read_yaml
from stages.training.checkpoint import Stored, latest

NESTED = "[" * 5_000


class Trap:
    """What a pickle may do when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.target,)


def sealed(folder: Path, **more: str) -> Path:
    """A checkpoint whose hashes are true: an attacker has that much sense."""
    step = folder / "step-00000001"
    names = [path.name for path in step.iterdir()]
    (step / "COMPLETE").write_text(json.dumps({n: sha256(step / n) for n in names} | more))
    return folder


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    step = tmp_path / "checkpoints" / "step-00000001"
    step.mkdir(parents=True)
    (step / "index.json").write_text("{}")
    (step / "progress.json").write_text("{}")
    return step.parent


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"format": 1}', '{"format": 2, "spikes": {}}', "\x00", NESTED]
)
def test_progress_of_another_shape_is_one_line(checkpoints: Path, text: str) -> None:
    (checkpoints / "step-00000001" / "progress.json").write_text(text)
    with pytest.raises(UserError) as raised:
        latest(sealed(checkpoints))
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["../../secret", "/dev/zero", "/etc/passwd"])
def test_a_checkpoint_names_no_file_outside(checkpoints: Path, name: str) -> None:
    """/dev/zero would be hashed for ever."""
    (checkpoints.parent / "secret").write_text("x")
    with pytest.raises(UserError, match="damaged"):
        latest(sealed(checkpoints, **{name: sha256(checkpoints.parent / "secret")}))


def test_a_pickle_in_a_checkpoint_does_not_run(checkpoints: Path, tmp_path: Path) -> None:
    step = checkpoints / "step-00000001"
    (step / "rank-00000.safetensors").write_bytes(pickle.dumps(Trap(tmp_path / "X")))
    with pytest.raises(Exception, match="header"):
        Stored(step)
    assert not (tmp_path / "X").exists()


@pytest.mark.parametrize("content", [b"\xff\xfe", NESTED.encode(), b"{"])
@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_json_and_yaml_that_are_none(
    tmp_path: Path, read: Callable[[Path], object], content: bytes
) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError) as raised:
        read(tmp_path / "file")
    assert len(str(raised.value).splitlines()) == 1


def test_what_commands_a_terminal_is_shown() -> None:
    assert printable("a\tb\n\x1b[31mred\x1b[0m") == "a\tb\n\x1b[31mred\x1b[0m"
    assert printable("\x1b]52;c;cm0=\x07\x1b[2J\r\x9b") == r"\x1b]52;c;cm0=\x07\x1b[2J\r\x9b"
