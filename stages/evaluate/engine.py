"""From token ids to token ids: greedy decoding of batches, and losses of windows.

transformers' ``generate`` on one prompt is the reference: batches must give the same tokens. Where a
batch of ours would not, ``suited`` names the way that does, and that one is taken.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy
from transformers import Cache, GenerationConfig

from stages.common.errors import UserError
from stages.evaluate import prefill
from stages.evaluate.ends import Ends
from stages.evaluate.ends import ids as end_ids
from stages.evaluate.suited import Suited, suited

PLACES = 16
"""Parts of a window whose losses are kept apart: where in the window a model loses."""
_LOGITS = 1 << 25
"""Most logits at a time (128 MiB in fp32): 16K tokens of dolma2's vocabulary would be 6.5 GB."""
Stop = Callable[[int, list[int]], bool]
"""Whether a prompt (by its place in the batch) needs no more than these new tokens."""


class Completion(NamedTuple):
    """What the model wrote after a prompt, without the token that ended it."""

    ids: list[int]
    ended: bool
    """Whether it ended by itself; otherwise it was stopped or the budget was spent."""
    stopped: bool = False
    """Whether ``stop`` ended it."""
    position: list[float] | None = None
    """Learned position of the marked token in each RePo layer, mean over heads."""


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    eos: Ends,
    stop: Stop | None = None,
    marks: Sequence[int | None] | None = None,
) -> list[Completion]:
    """Continue every prompt greedily in one batch, until all have ended or the budget is spent.

    Prompts are read padded on the right, where causal attention needs no mask: its kernel without
    one is 1.6 times as fast at 1,024 tokens on a CPU as with the mask that left padding needs. In
    decoding the mask hides the padding. What has ended leaves the batch. What several prompts begin
    with is read once. ``marks`` are places of tokens, one a prompt, whose learned positions are wanted.
    A model for which this is wrong is decoded by ``by_generate``.
    """
    if way(model).way != "own" or min(len(prompt) for prompt in prompts) < 2:
        return by_generate(model, prompts, max_new_tokens, eos, stop)
    with torch.inference_mode():
        cache, positions = prefill.read(
            model, prompts, marks or [None] * len(prompts), max_new_tokens
        )
        found = _decode(model, prompts, cache, max_new_tokens, eos, stop)
        return [row._replace(position=z) for row, z in zip(found, positions, strict=True)]


def way(model: Any) -> Suited:
    """The fastest way of decoding that gives this model's own tokens."""
    return suited(model, {"own": _own_logits, "static": _static_logits, "alone": _static_logits})


def _own_logits(model: Any, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Logits after each prompt, BV, as this engine reads it."""
    with torch.inference_mode():
        cache, _ = prefill.read(model, prompts, [None] * len(prompts), 1)
        width = max(map(len, prompts)) - 1
        lengths_B = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
        place_T = torch.arange(width + 1, device=model.device)
        mask_BT = ((place_T[None] < lengths_B[:, None] - 1) | (place_T[None] >= width)).long()
        logits_B1V: torch.Tensor = model(
            input_ids=torch.tensor([[prompt[-1]] for prompt in prompts], device=model.device),
            attention_mask=mask_BT,
            position_ids=(lengths_B - 1)[:, None],
            past_key_values=cache,
            use_cache=True,
        ).logits
        return logits_B1V[:, -1]


def _static_logits(model: Any, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Logits after each prompt, BV, as ``generate`` reads it."""
    out = _generated(model, prompts, greedy(1, 0), output_logits=True, return_dict_in_generate=True)
    return torch.as_tensor(out.logits[0])


def _decode(
    model: Any,
    prompts: Sequence[Sequence[int]],
    cache: Cache,
    max_new_tokens: int,
    eos: Ends,
    stop: Stop | None,
) -> list[Completion]:
    width = max(len(prompt) for prompt in prompts) - 1
    ends = set(end_ids(eos))
    written: list[list[int]] = [[] for _ in prompts]
    ended = [False] * len(prompts)
    alive = list(range(len(prompts)))
    """Rows of the batch, by their place in ``prompts``; some may be done already."""
    done: set[int] = set()
    stopped: set[int] = set()
    lengths_B = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    # The prompt but its last token, padding, and from ``width`` on what is fed while decoding.
    place_T = torch.arange(width + max_new_tokens, device=model.device)
    mask_BT = ((place_T[None] < lengths_B[:, None] - 1) | (place_T[None] >= width)).long()
    ids_B1 = torch.tensor([[prompt[-1]] for prompt in prompts], device=model.device)
    for step in range(max_new_tokens):
        logits_B1V = model(
            input_ids=ids_B1,
            attention_mask=mask_BT[:, : width + step + 1],
            position_ids=(lengths_B - 1 + step)[:, None],
            past_key_values=cache,
            use_cache=True,
        ).logits
        ids_B1 = logits_B1V[:, -1:].float().argmax(dim=-1)
        for row, token in zip(alive, ids_B1[:, 0].tolist(), strict=True):
            if row in done:
                continue
            if token in ends:
                ended[row] = True
                done.add(row)
                continue
            written[row].append(token)
            if stop is not None and stop(row, written[row]):
                stopped.add(row)
                done.add(row)
        left = [place for place, row in enumerate(alive) if row not in done]
        if not left:
            break
        if 4 * len(left) <= 3 * len(alive):
            kept = torch.tensor(left, device=model.device)
            cache.batch_select_indices(kept)
            ids_B1, mask_BT, lengths_B = ids_B1[kept], mask_BT[kept], lengths_B[kept]
            alive = [alive[place] for place in left]
    return [
        Completion(ids, end, row in stopped)
        for row, (ids, end) in enumerate(zip(written, ended, strict=True))
    ]


def by_generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    eos: Ends,
    stop: Stop | None = None,
    marks: Sequence[int | None] | None = None,
) -> list[Completion]:
    """The reference: transformers' ``generate`` on a batch that is padded on the left.

    A model that takes no notice of padding reads its prompts one by one. What ``stop`` would have
    ended is cut there; ``marks`` stay unanswered.
    """
    batches = [[prompt] for prompt in prompts] if way(model).way == "alone" else [prompts]
    rows: list[list[int]] = []
    for some in batches:
        output = _generated(model, some, greedy(max_new_tokens, eos))
        rows += output[:, max(map(len, some)) :].tolist()
    return [completion(row, ids, eos, stop) for row, ids in enumerate(rows)]


def _generated(
    model: Any, prompts: Sequence[Sequence[int]], config: GenerationConfig, **more: Any
) -> Any:
    """What ``generate`` returns for prompts padded on the left."""
    width = max(map(len, prompts))
    padding = [width - len(prompt) for prompt in prompts]
    pad_id = config.pad_token_id
    input_ids = [[pad_id] * pad + list(p) for pad, p in zip(padding, prompts, strict=True)]
    mask = [[0] * pad + [1] * (width - pad) for pad in padding]
    with torch.inference_mode():
        return model.generate(
            input_ids=torch.tensor(input_ids, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            generation_config=config,
            **more,
        )


def greedy(max_new_tokens: int, eos: Ends) -> GenerationConfig:
    """A config of our own: a checkpoint's generation_config.json may ask for penalties."""
    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(end_ids(eos)),
        pad_token_id=end_ids(eos)[0],
    )


def completion(row: int, ids: list[int], eos: Ends, stop: Stop | None) -> Completion:
    """New tokens up to the first of ``eos``, or to where ``stop`` would have ended them."""
    ends = set(end_ids(eos))
    place = next((place for place, token in enumerate(ids) if token in ends), None)
    ended = place is not None
    ids = ids[:place]
    for count in range(1, len(ids) + 1 if stop is not None else 0):
        if stop is not None and stop(row, ids[:count]):
            return Completion(ids[:count], False, True)
    return Completion(ids, ended)


def window_losses(model: Any, windows: Sequence[Sequence[int]]) -> list[float]:
    """Mean loss, nats per token, of each window; a window's first token is given, not predicted."""
    return [row["loss"] for row in window_rows(model, windows)]


def window_rows(model: Any, windows: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """Of each window ``loss``, and ``places``: its mean over each of ``PLACES`` parts of the window.

    A window with fewer predicted tokens than parts has a part for each token.
    """
    with torch.inference_mode():
        ids_BT = torch.tensor([list(window) for window in windows], device=model.device)
        hidden_BTD = model.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state
        head, length = _head(model), ids_BT.shape[1]
        vocabulary = head(hidden_BTD[:, :1]).shape[-1]
        chunk = max(1, _LOGITS // (vocabulary * len(windows)))
        losses = []
        for start in range(0, length - 1, chunk):
            end = min(start + chunk, length - 1)
            logits_BVC = head(hidden_BTD[:, start:end]).float().transpose(1, 2)
            targets_BC = ids_BT[:, start + 1 : end + 1]
            losses.append(cross_entropy(logits_BVC, targets_BC, reduction="none"))
        loss_BT = torch.cat(losses, dim=1).double()
        means: list[float] = loss_BT.mean(dim=1).tolist()
        parts = loss_BT.tensor_split(min(PLACES, loss_BT.shape[1]), dim=1)
        places: list[list[float]] = torch.stack([p.mean(dim=1) for p in parts], dim=1).tolist()
    return [
        {"loss": loss, "places": [round(part, 6) for part in row]}
        for loss, row in zip(means, places, strict=True)
    ]


def _head(model: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """From hidden states to logits, as the model makes them; an unknown way is refused.

    Gemma-2 caps its logits, Cohere and Granite scale them: each way is tried on two tokens.
    """
    linear: Callable[[torch.Tensor], torch.Tensor] = model.get_output_embeddings()
    ids_BT = torch.tensor([[3, 4]], device=model.device)
    hidden_BTD = model.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state
    logits_BTV, plain_BTV = model(input_ids=ids_BT, use_cache=False).logits, linear(hidden_BTD)
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    scale = (logits_BTV.float() / plain_BTV.float()).median().to(plain_BTV.dtype)
    for head in (
        *([lambda hidden: cap * torch.tanh(linear(hidden) / cap)] if cap else []),
        linear,
        lambda hidden: linear(hidden) * scale,
    ):
        if torch.allclose(logits_BTV.float(), head(hidden_BTD).float(), rtol=1e-2, atol=1e-3):
            return head
    raise UserError(f"{type(model).__name__}: its logits are not made from its last layer alone")
