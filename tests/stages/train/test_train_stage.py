"""The train stage around the loop: what it refuses before it starts, and the rehearsal."""

from pathlib import Path

import pytest

from pipeline.use import profiles
from stages.base.stage import TOKENIZER_MANIFEST
from stages.common.errors import UserError
from stages.common.files import read_json, sha256, write_json
from stages.common.tokens import TokenStore
from stages.train import dry_run
from stages.train.stage import check_tokenizer


def test_tokens_of_another_tokenizer_are_refused(tokens: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    check_tokenizer(base, TokenStore(tokens))  # a base that does not tell
    write_json(base / TOKENIZER_MANIFEST, {"hashes": {}})
    check_tokenizer(base, TokenStore(tokens))  # tokens that do not tell
    manifest = {
        **read_json(tokens / "manifest.json"),
        "tokenizer": sha256(base / TOKENIZER_MANIFEST),
    }
    write_json(tokens / "manifest.json", manifest)
    check_tokenizer(base, TokenStore(tokens))
    write_json(base / TOKENIZER_MANIFEST, {"hashes": {"tokenizer.json": "other"}})
    with pytest.raises(UserError, match="was made by another tokenizer than base's"):
        check_tokenizer(base, TokenStore(tokens))


@pytest.mark.ray
@pytest.mark.stress  # a start of Ray Train, which test_launch.py pays for already
def test_a_dry_run_tells_time_and_memory_and_touches_nothing(
    tmp_path: Path,
    ray_session: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    (tmp_path / "params.yaml").write_text(profiles()["smoke"])
    assert dry_run.main(["--dry-run", "--variant", "repo"]) == 0
    shown = capsys.readouterr().out
    assert "train@repo-0: dry run: " in shown
    assert "s per step of 2,048 tokens" in shown
    assert "peak memory of rank 0" in shown
    assert "15 steps would take" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
    assert dry_run.main(["--dry-run", "--variant", "nope"]) == 2
    assert "--variant nope is not among the params'" in capsys.readouterr().err
