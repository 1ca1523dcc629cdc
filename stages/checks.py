"""All checks, composed: ``stages.<name>.check`` of each stage, found by the stage's name.

Called by ``stages.common.entry`` for its own stage, and by the conductor for those that would run.
No ``stage.py`` imports a check: a new one leaves every stage's fingerprint as it is.
"""

import importlib
from collections.abc import Iterable, Iterator

from stages.common import bounds, place, variables
from stages.common.findings import Finding
from stages.common.seen import Seen


def findings(seen: Seen, stages: Iterable[str]) -> Iterator[Finding]:
    """What the checks of ``stages`` find (names as in dvc.yaml, items as ``train@rope-42``)."""
    said: set[str] = set()
    for one in _all(seen, stages):
        if one.line not in said:
            said.add(one.line)
            yield one


def _all(seen: Seen, stages: Iterable[str]) -> Iterator[Finding]:
    yield from variables.check(seen.environment)
    yield from place.check(seen)
    for name in dict.fromkeys(stage.partition("@")[0] for stage in stages):
        if name not in seen.found:  # a plan asks before it opens DVC, and again for what would run
            seen.found[name] = list(_of(name, seen))
        yield from seen.found[name]


def _of(name: str, seen: Seen) -> Iterator[Finding]:
    outside = list(_out_of_bounds(name, seen))
    # A number beyond all sense is no ground for further questions.
    yield from outside or _own(name, seen)


def _out_of_bounds(name: str, seen: Seen) -> Iterator[Finding]:
    """Numbers of the stage's section, and of the variants' definitions that the stage reads."""
    section = getattr(seen.params, name, None)
    if section is not None:
        yield from bounds.check(name, section.model_dump())
    for variant in seen.params.variants if name in ("train", "evaluate") else ():
        own = getattr(seen.params.definitions[variant], name)
        yield from bounds.check(f"definitions.{variant}.{name}", own.model_dump(by_alias=True))


def _own(name: str, seen: Seen) -> Iterator[Finding]:
    module = f"stages.{name}.check"
    try:
        own = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module, f"stages.{name}"):
            raise
        return
    yield from own.check(seen)
