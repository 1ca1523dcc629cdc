"""A small RePo model and the plain loop that the product's loop is held against."""

from pathlib import Path

import torch
from torch import nn

import repo_model
from stages.common.tokens import TokenStore
from stages.training.objective import next_token_loss
from stages.training.optimizer import build as build_optimizer
from stages.training.order import DataOrder
from stages.training.params import TrainingParams
from stages.training.schedule import schedule
from stages.training.trainable import freeze


def model(vocabulary: int = 64) -> nn.Module:
    """Two layers, the second with learned positions; 5 K parameters, equal at every call."""
    torch.manual_seed(5)
    config = repo_model.RepoOlmo2Config(
        positions="repo",
        start_layer=1,
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=0,
    )
    return repo_model.RepoOlmo2ForCausalLM(config)


def wider_model() -> nn.Module:
    """Another model: a run of ``model`` must not go on with it."""
    return model(vocabulary=72)


def plain_loop(tokens: Path, params: TrainingParams, seed: int) -> tuple[nn.Module, list[float]]:
    """The same recipe without Ray, DeepSpeed or checkpoints."""
    net = model()
    freeze(net, params)
    net.train()
    optimizer = build_optimizer(net, params)
    full = [group["lr"] for group in optimizer.param_groups]
    order, losses = DataOrder(TokenStore(tokens), params, seed), []
    for step in range(params.steps):
        for group, lr in zip(optimizer.param_groups, full, strict=True):
            group["lr"] = lr * schedule(params, step)
        ids_BT = torch.from_numpy(order.batch(step, 0, order.rows(step)))
        hidden_BTD = net.model(input_ids=ids_BT).last_hidden_state  # type: ignore[operator, union-attr]
        head_VD = net.get_output_embeddings().weight  # type: ignore[operator]
        entropy, objective = next_token_loss(hidden_BTD, head_VD, ids_BT, params.z_loss)
        optimizer.zero_grad()
        objective.backward()
        nn.utils.clip_grad_norm_(net.parameters(), params.grad_clip)
        optimizer.step()
        losses.append(entropy.item())
    return net, losses
