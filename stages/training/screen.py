"""The driver's view of a run: the progress line and the workers' notices."""

import math
import threading
from types import TracebackType

from stages.common.files import read_json
from stages.common.progress import Progress
from stages.training.notices import Notices
from stages.training.run import LIVE, Run


class Screen:
    """Shows what rank 0 writes down; a report through Ray Train would cost far more."""

    def __init__(self, name: str, run: Run) -> None:
        self._name, self._live = name, run.folder / LIVE
        self._live.unlink(missing_ok=True)
        self._notices = Notices(run.folder)
        self._progress = Progress(name, run.params.tokens, "tokens")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Screen":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            ended = self._done.wait(1.0)
            for line in self._notices.new():
                print(f"{self._name}: {line}", flush=True)
            if self._live.is_file():
                now = read_json(self._live)
                self._progress.update(now["tokens"], _note(now))
            if ended:
                return


def _note(now: dict[str, float]) -> str:
    """The figures behind the tokens and the time that is left."""
    loss = now["loss"] if now["loss"] is not None else math.nan
    note = (
        f"step {now['step']}, loss {loss:.4f}, {now['tokens_per_s_per_worker']:,.0f} tok/s/worker"
    )
    if "mfu_causal" in now:
        note += f", MFU {100 * now['mfu_causal']:.1f} % causal, {100 * now['mfu_full']:.1f} % full"
    return note
