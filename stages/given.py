"""Files of the user's that params name and dvc.yaml cannot, by the stage that reads them."""

from collections.abc import Callable
from pathlib import Path

from stages.benchmarks import corpora
from stages.benchmarks.template_files import file_of
from stages.params import Params

TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt", "spiece.model"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("chat_template.jinja", "chat_template.json"),
)


def named(params: Params) -> list[Path]:
    """Files and folders, as params name them."""
    benchmarks, tokenizer = params.benchmarks, params.tokenizer.source
    suites = (benchmarks.longbench.path, *(s.path for s in benchmarks.structured.values()))
    ruler = benchmarks.ruler
    texts = (text for text in (ruler.prose, ruler.squad, ruler.hotpotqa) if corpora.is_file(text))
    found: list[str | Path | None]
    found = [*suites, ruler.data, *texts]
    found += [file_of(benchmarks.template), tokenizer if tokenizer != "train" else None]
    return [Path(name) for name in found if name]


def _benchmarks(params: Params, root: Path) -> list[Path]:
    from stages.benchmarks.given import watched  # 0.4 s

    return watched(params.benchmarks, root)


def _tokenizer(params: Params, root: Path) -> list[Path]:
    source = params.tokenizer.source
    return [] if source == "train" else [root / source / name for name in TOKENIZER_FILES]


WATCHED: dict[str, Callable[[Params, Path], list[Path]]] = {
    "benchmarks": _benchmarks,
    "tokenizer": _tokenizer,
}
"""Files that a stage would be made of in the project at a root; some need not be there."""
