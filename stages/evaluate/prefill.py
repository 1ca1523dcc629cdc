"""Reading prompts: keys and values of all their tokens but the last, and learned positions.

B prompts, K key/value heads, T tokens, D head size.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

import repo_model
from stages.evaluate.prefixes import key, readings

_AT_ONCE = 2048
"""Tokens that a CPU reads at a time: their activations stay in its cache."""


class Roomy(DynamicLayer):
    """A layer's keys and values with room for what will be decoded.

    A ``DynamicLayer`` copies all that it holds at every step; here a step writes its own tokens.
    """

    def __init__(self, keys_BKTD: torch.Tensor, values_BKTD: torch.Tensor, tokens: int) -> None:
        super().__init__()
        self.lazy_initialization(keys_BKTD, values_BKTD)
        self._whole = (keys_BKTD, values_BKTD)
        self._show(tokens)

    def _show(self, tokens: int) -> None:
        self.keys, self.values = (whole[:, :, :tokens] for whole in self._whole)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new tokens behind the old ones; all of them are returned."""
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        for whole, new in zip(self._whole, (key_states, value_states), strict=True):
            whole[:, :, start:end] = new
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these prompts only."""
        tokens = self.keys.shape[-2]
        self._whole = (self._whole[0][indices], self._whole[1][indices])
        self._show(tokens)


class _EnoughError(Exception):
    """All keys and values are there."""


class _Reading(DynamicCache):
    """Ends the forward pass at the last layer's keys: what comes after them nobody asks for.

    Of two layers that saves almost half, of 16 one part in 20.
    """

    def __init__(self, layers: int | None) -> None:
        super().__init__()
        self._last = None if layers is None else layers - 1

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As ``DynamicCache``; raises ``_EnoughError`` once the last layer's are stored."""
        found = super().update(key_states, value_states, layer_idx, *args, **kwargs)
        if layer_idx == self._last:
            raise _EnoughError
        return found


class _Last(NamedTuple):
    """The prompt that was read last."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]
    """Keys and values of each layer, 1KTD; padded."""
    learned: dict[int, torch.Tensor]
    """Learned positions by layer, 1KT; padded."""


def read(
    model: Any, prompts: Sequence[Sequence[int]], marks: Sequence[int | None], room: int
) -> tuple[Cache, list[list[float] | None]]:
    """Keys and values of all prompts but their last tokens, and the marked tokens' positions.

    The cache has room for ``room`` more tokens. A few prompts are read at a time, on a CPU; what a
    prompt has in common with the one before is not read again: keys depend on the tokens up to
    theirs alone, learned positions too. No logits are computed: the last tokens' are all that is
    needed, and those come with decoding.
    """
    width = max(len(prompt) for prompt in prompts) - 1
    most = _AT_ONCE if model.device.type == "cpu" else width * len(prompts)
    positions: list[list[float] | None] = [None] * len(prompts)
    whole: list[tuple[torch.Tensor, torch.Tensor]] = []
    last = _Last([], {})
    for rows, kept in readings([key(prompt[:-1]) for prompt in prompts], most):
        cache, learned = _read(model, [prompts[row][kept:-1] for row in rows], kept, last)
        if not whole:
            whole = [_empty(layer, len(prompts), width + room) for layer in cache.layers]
        for place, row in enumerate(rows):
            tokens = len(prompts[row]) - 1
            for (keys, values), layer in zip(whole, cache.layers, strict=True):
                keys[row, :, :tokens] = layer.keys[place, :, :tokens]
                values[row, :, :tokens] = layer.values[place, :, :tokens]
            positions[row] = _at(learned, place, marks[row])
        last = _Last(
            [(keys[rows[-1]][None], values[rows[-1]][None]) for keys, values in whole],
            {i: z_BKT[-1:] for i, z_BKT in learned.items()},
        )
    return Cache(layers=[Roomy(keys, values, width) for keys, values in whole]), positions


def _read(
    model: Any, some: Sequence[Sequence[int]], kept: int, last: _Last
) -> tuple[DynamicCache, dict[int, torch.Tensor]]:
    """The prompts after ``kept`` tokens of ``last``, padded by their own last tokens."""
    longest = max(map(len, some))
    ids_BT = [[*prompt, *[prompt[-1]] * (longest - len(prompt))] for prompt in some]
    cache = _Reading(getattr(model.config, "num_hidden_layers", None))
    for index, (keys, values) in enumerate(last.layers if kept else ()):
        DynamicCache.update(cache, keys[:, :, :kept], values[:, :, :kept], index)
    with _recording(model) as recorded:
        with suppress(_EnoughError):
            model.base_model(
                input_ids=torch.tensor(ids_BT, device=model.device),
                past_key_values=cache,
                use_cache=True,
            )
        new = {} if recorded is None else {i: recorded[i] for i in recorded.layers}
    if kept:
        new = {i: torch.cat([last.learned[i][:, :, :kept], z], -1) for i, z in new.items()}
    return cache, new


def _empty(layer: Any, rows: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Zeros: what is masked is multiplied by 0, which leaves a NaN one."""
    return tuple(  # type: ignore[return-value]
        part.new_zeros(rows, part.shape[1], tokens, part.shape[3])
        for part in (layer.keys, layer.values)
    )


def _recording(model: Any) -> AbstractContextManager[repo_model.PositionRecorder | None]:
    """Records learned positions where the model has any."""
    learned = "repo" in (getattr(model.config, "positions", None) or ())
    return repo_model.record_positions(model) if learned else nullcontext()


def _at(learned: dict[int, torch.Tensor], place: int, mark: int | None) -> list[float] | None:
    """Position of a token in each layer, mean over heads."""
    if not learned or mark is None:
        return None
    return [round(z_BKT[place, :, mark].mean().item(), 4) for z_BKT in learned.values()]
