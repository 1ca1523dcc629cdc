"""What each training would take of each source, before a run: the rows under a plan's table."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stages.common.cost import base_shape, learned_layers
from stages.corpus.cost import listed_tokens, source_tokens
from stages.params import Params
from stages.training.params import TrainingParams
from stages.training.realised import Part, expected
from stages.training.schedule import travel_words


class Data(NamedTuple):
    """Sources, their tokens, and what trainings take of them."""

    there: Mapping[str, float | None]
    """Tokens to train on, by source; none: not known offline."""
    exact: frozenset[str]
    """Sources whose tokens are counted; the others' are estimated from bytes."""
    trainings: Mapping[str, Mapping[str, Part]]
    """By the params' field; empty parts where sizes that are needed are not known."""

    def as_json(self) -> dict[str, Any]:
        """``{sources: {name: {tokens, exact}}, trainings: {field: {name: Part}}}``."""
        return {
            "sources": {
                name: {"tokens": size and round(size), "exact": name in self.exact}
                for name, size in self.there.items()
            },
            "trainings": {
                field: {name: part._asdict() for name, part in parts.items()}
                for field, parts in self.trainings.items()
            },
        }


def data_of(params: Params, root: Path) -> Data:
    """Of all trainings that the params have; variants with values of their own have their own rows."""
    there = source_tokens(params, root)
    trainings = {field: expected(one, there) for field, one in _trainings(params)}
    exact = {
        name
        for name, source in params.corpus.ready.items()
        if source.files is None or listed_tokens(params, name, root)[1]
    }
    return Data(there, frozenset(exact), trainings)


def travels(params: Params, running: Collection[str]) -> Iterator[str]:
    """How far the schedule lets the maps travel: a line for each variant with learned positions that
    one of the stages ``running`` trains."""
    shape = base_shape(params)
    trained = {name.removeprefix("train@").rpartition("-")[0] for name in running}
    for name in params.variants:
        if name in trained and shape and learned_layers(params, name, shape):
            yield f"positions of {name}: {travel_words(params.train_of(name))}"


def _trainings(params: Params) -> Iterator[tuple[str, TrainingParams]]:
    if params.base.training is not None:
        yield "base", params.base.training
    yield "train", params.train
    for name in params.variants:
        if params.definitions[name].train.overrides:
            yield f"train {name}", params.train_of(name)
    if params.extend.training is not None:
        yield "extend", params.extend.training
