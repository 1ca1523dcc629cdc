"""DeepSpeed's engine around a causal language model and its loss."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from repo_model.packing import document_position_ids
from stages.training import attention, named_state, optimizer, zero
from stages.training.execution import Execution, zero_stage
from stages.training.named_state import Fragments, State
from stages.training.objective import (
    CHUNK_LOGITS,
    Kernel,
    chunk_of,
    next_token_loss,
    token_scores,
)
from stages.training.params import TrainingParams
from stages.training.trainable import trained


class Engine:
    """A model under DeepSpeed, started from ``state``.

    ``state`` holds fp32 weights and, when a run goes on, the optimizer's moments after
    ``updates`` steps; it is what the master weights become, whatever the precision of the passes.
    ``eos_id``: end of a document, needed where documents are masked from one another.
    """

    def __init__(
        self,
        model: nn.Module,
        params: TrainingParams,
        execution: Execution,
        parts: int,
        state: State,
        updates: int,
        eos_id: int,
    ) -> None:
        zero.settle(execution.use_gpu)
        import deepspeed

        self.zero_stage = zero_stage(params, execution)
        deepspeed.init_distributed("nccl" if execution.use_gpu else "gloo", verbose=False)
        if self.zero_stage == 0:
            with torch.no_grad():
                for name, parameter in trained(model):
                    parameter.copy_(state[name])
        if params.precision == "bf16":
            model.to(torch.bfloat16)
        if execution.gradient_checkpointing:
            model.gradient_checkpointing_enable()  # type: ignore[operator]
        attention.choose(model, execution.attention)
        if execution.compile:
            for layer in model.model.layers:  # type: ignore[union-attr]
                layer.compile()
        self.model, self.shapes = model, named_state.shapes_of(model)
        masked_after = eos_id if params.document_mask else None
        objective = _Objective(
            model, params.z_loss, masked_after, execution.loss, params.wide_gradients
        )
        chosen = optimizer.build(model, params, fused=execution.use_gpu and not execution.offload)
        self._objective, self._longest_part = objective, 0
        self._guard = _FiniteOnly(chosen) if self.zero_stage == 0 else None
        self._engine, *_ = deepspeed.initialize(
            model=objective,
            optimizer=chosen,
            config=_config(params, execution, parts, self.zero_stage),
        )
        self._full_lr = [group["lr"] for group in self._engine.optimizer.param_groups]
        if self.zero_stage:
            zero.prime(self._engine.optimizer, updates)
            zero.write(model, self._engine.optimizer, self.zero_stage, state)
        else:
            named_state.write_whole(model, self._engine.optimizer, state)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return torch.device(self._engine.device)

    @property
    def skipped_last(self) -> bool:
        """Whether the last step changed nothing because a gradient was not finite."""
        if self._guard is not None:
            return self._guard.skipped
        return zero.overflowed(self._engine)

    @property
    def gradient_norm(self) -> float | None:
        """Of the last step, before clipping; DeepSpeed tells none at ZeRO 0."""
        norm = self._engine.get_global_grad_norm() if self.zero_stage else None
        return None if norm is None else float(norm)

    def scale_learning_rates(self, share: float) -> None:
        """Set every group's learning rate of the next step to ``share`` of its full one."""
        for group, full in zip(self._engine.optimizer.param_groups, self._full_lr, strict=True):
            group["lr"] = full * share

    def accumulate(
        self,
        ids_BT: Tensor,
        keep_B: Tensor | None = None,
        before_step: Callable[[], None] | None = None,
    ) -> Tensor:
        """Forward and backward of one part of the batch, and the step after its last part.

        ``keep_B`` False: a sequence that counts in the mean but teaches nothing. ``before_step`` is
        called between the last part's backward pass and the step, where gradients can be read.
        Returns the part's mean cross-entropy, not synchronised with the host.
        """
        if keep_B is not None:
            keep_B = keep_B.to(self.device, non_blocking=True)
        larger = ids_BT.numel() > self._longest_part
        if larger:  # nobody knows yet what it leaves free
            self._longest_part, self._objective.chunk = ids_BT.numel(), CHUNK_LOGITS
        entropy, objective = self._engine(ids_BT.to(self.device, non_blocking=True), keep_B)
        self._engine.backward(objective)
        if larger and self.device.type == "cuda":
            self._objective.chunk = chunk_of(unused(self.device))
        if before_step is not None and self._engine.is_gradient_accumulation_boundary():
            before_step()
        self._engine.step()
        return entropy

    @torch.no_grad()
    def scores(self, ids_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each token but the first, and the most likely token in its place; all ranks call it.

        Compiled blocks run as they were written: other shapes would compile them anew.
        """
        self._engine.eval()
        with torch.compiler.set_stance("force_eager"):
            loss_BT, best_BT = self._engine(ids_BT, None, True)
        self._engine.train()
        return loss_BT, best_BT

    def fragments(self) -> Fragments:
        """What this rank holds of the training state, as views into it."""
        if self.zero_stage == 0:
            return named_state.whole_fragments(self.model, self._engine.optimizer)
        return zero.fragments(self.model, self.zero_stage)


def _config(params: TrainingParams, execution: Execution, parts: int, stage: int) -> dict[str, Any]:
    """DeepSpeed's settings."""
    settings: dict[str, Any] = {"stage": stage}
    if execution.offload:
        settings["offload_optimizer"] = {"device": "cpu", "pin_memory": execution.use_gpu}
    wide: dict[str, Any] = {}
    if params.wide_gradients:
        wide = {"data_types": {"grad_accum_dtype": "fp32"}, "communication_data_type": "fp32"}
    return {
        # Rows per pass vary with the length schedule; DeepSpeed only divides by the parts.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": parts,
        "gradient_clipping": params.grad_clip,
        # Where sums are wide, each weight's own gradient goes as soon as it is added to them.
        "bf16": {"enabled": params.precision == "bf16", "immediate_grad_update": bool(wide)},
        **wide,
        "zero_optimization": settings,
        "zero_allow_untested_optimizer": True,
        # Its own Adam for the CPU is compiled for four minutes at first use.
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 2**31,
    }


def unused(device: torch.device) -> float:
    """Bytes of a GPU that the passes so far never used."""
    outside, _ = torch.cuda.mem_get_info(device)
    return outside + torch.cuda.memory_reserved(device) - torch.cuda.max_memory_allocated(device)


class _Objective(nn.Module):
    """The model with its loss, so that one forward pass of the engine covers both."""

    def __init__(
        self,
        model: nn.Module,
        z_loss: float,
        masked_after: int | None,
        kernel: Kernel,
        wide: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.z_loss, self.masked_after = model, z_loss, masked_after
        self.kernel: Kernel = kernel
        self.wide, self.chunk = wide, CHUNK_LOGITS

    def forward(
        self, ids_BT: Tensor, keep_B: Tensor | None = None, each: bool = False
    ) -> tuple[Tensor, Tensor]:
        """The loss, as ``next_token_loss``; ``each``: as ``token_scores``, documents not masked."""
        options = {}
        if self.masked_after is not None and not each:
            options["position_ids"] = document_position_ids(ids_BT, self.masked_after)
        hidden_BTD = self.model.model(
            input_ids=ids_BT, use_cache=False, **options
        ).last_hidden_state  # type: ignore[operator, union-attr]
        head_VD = self.model.get_output_embeddings().weight  # type: ignore[operator]
        # Granite divides its logits by a constant, Gemma caps them: both belong to the model.
        config = self.model.config
        if (scale := getattr(config, "logits_scaling", 1.0)) != 1.0:
            hidden_BTD = hidden_BTD / scale
        cap = getattr(config, "final_logit_softcapping", None)
        if each:
            return token_scores(hidden_BTD, head_VD, ids_BT, cap)
        how = (self.kernel, cap, self.chunk, self.wide)
        return next_token_loss(hidden_BTD, head_VD, ids_BT, self.z_loss, keep_B, *how)


def scores_of(model: nn.Module) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The same figures as ``Engine.scores`` of a model that is not trained."""
    objective = _Objective(model.eval(), 0.0, None, "chunked")
    return lambda ids_BT: objective(ids_BT, None, True)


class _FiniteOnly:
    """Keeps an optimizer from stepping on gradients that are not finite, as ZeRO's own do.

    Costs one pass over the gradients and one look at the result.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.skipped = False
        self._groups, self._step = optimizer.param_groups, optimizer.step
        optimizer.step = self._guarded  # type: ignore[method-assign]

    def _guarded(self, *arguments: Any, **options: Any) -> Any:
        gradients = [p.grad for g in self._groups for p in g["params"] if p.grad is not None]
        norms = torch.stack(torch._foreach_norm(gradients))
        self.skipped = not bool(torch.isfinite(norms).all())
        return None if self.skipped else self._step(*arguments, **options)
