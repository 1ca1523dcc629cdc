"""What ``pool._compute`` does on Ray, in this process."""

from pathlib import Path
from typing import Any

from stages.common.files import write_json


def in_this_process(missing: Any, folder: Path, worker: Any, arguments: Any) -> None:
    """An actor's work without Ray."""
    maker = worker(*arguments)
    for shard in missing:
        write_json(folder / f"{shard.key}.json", maker.run(shard))
