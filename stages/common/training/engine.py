"""DeepSpeed's engine, and the training state in it by parameter name.

State by name (fp32 weights, both Adam moments) moves between worker counts and ZeRO stages without
a conversion, and bit-equal within one (tried: ZeRO 1, 2, 3, fp32 and bf16, two gloo workers).
"""

import os
from typing import Any

import torch
from torch import Tensor, nn

from stages.common.training.execution import Execution
from stages.common.training.objective import next_token_loss
from stages.common.training.optimizer import adamw
from stages.common.training.params import TrainingParams

MOMENTS = ("exp_avg", "exp_avg_sq")
State = dict[str, Tensor]
"""``<parameter>`` -> fp32 weight; ``<parameter>|<moment>`` -> fp32 moment."""


def weights_of(model: nn.Module) -> State:
    """A starting state: the model's weights in fp32, no moments."""
    return {n: p.detach().float().clone() for n, p in model.named_parameters()}


class _Objective(nn.Module):
    """The model with its loss, so that one forward pass of the engine covers both."""

    def __init__(self, model: nn.Module, z_loss: float) -> None:
        super().__init__()
        self.model, self.z_loss = model, z_loss

    def forward(self, ids_BT: Tensor) -> tuple[Tensor, Tensor]:
        hidden_BTD = self.model.model(input_ids=ids_BT, use_cache=False).last_hidden_state
        return next_token_loss(hidden_BTD, self.model.lm_head.weight, ids_BT, self.z_loss)


class Engine:
    """A causal language model under DeepSpeed with a torch AdamW, started from ``state``.

    ``state`` holds fp32 weights and, when a run goes on from ``step``, both moments; it is what the
    optimizer's master weights become, whatever the precision of the passes.
    """

    def __init__(
        self,
        model: nn.Module,
        params: TrainingParams,
        execution: Execution,
        accumulation: int,
        state: State,
        step: int,
    ) -> None:
        if not execution.use_gpu:
            os.environ["DS_ACCELERATOR"] = "cpu"
        import deepspeed

        if not execution.use_gpu:
            # A private table; without it a shared-memory operator is compiled for 38 s on CPU.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed("nccl" if execution.use_gpu else "gloo", verbose=False)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(state[name])
        if params.precision == "bf16":
            model.to(torch.bfloat16)
        self.engine, *_ = deepspeed.initialize(
            model=_Objective(model, params.z_loss),
            optimizer=adamw(model, params),
            config={
                # Rows per pass vary with the length schedule; DeepSpeed only divides by the steps.
                "train_micro_batch_size_per_gpu": 1,
                "gradient_accumulation_steps": accumulation,
                "gradient_clipping": params.grad_clip,
                "bf16": {"enabled": params.precision == "bf16"},
                "zero_optimization": {"stage": execution.zero_stage},
                "zero_allow_untested_optimizer": True,
                "steps_per_print": 2**31,
            },
        )
        self.model = model
        self._prime(step)
        self._restore(state)

    def set_learning_rate(self, value: float) -> None:
        """Learning rate of the next step, all groups."""
        for group in self.engine.optimizer.param_groups:
            group["lr"] = value

    def accumulate(self, ids_BT: Tensor) -> Tensor:
        """Forward and backward of one part of the batch, and the step after its last part.

        Returns the part's mean cross-entropy, not synchronised with the host.
        """
        entropy, objective = self.engine(ids_BT.to(self.engine.device, non_blocking=True))
        self.engine.backward(objective)
        self.engine.step()
        return entropy

    def state(self) -> State:
        """The whole training state on the CPU; every rank must call it."""
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        found: State = {}
        for name, parameter in self.model.named_parameters():
            found[name] = safe_get_full_fp32_param(parameter).detach().cpu().clone()
            for moment in MOMENTS:
                value = safe_get_full_optimizer_state(parameter, moment)
                found[f"{name}|{moment}"] = value.detach().cpu().clone()
        return found

    def _prime(self, step: int) -> None:
        """Create Adam's state before the first step, so that it can be read and written at any time.

        DeepSpeed links its fragments to the optimizer's state once; torch makes that state lazily.
        """
        zero: Any = self.engine.optimizer
        flat = getattr(zero, "fp32_partitioned_groups_flat", None)  # ZeRO 3
        for partition in flat or zero.single_partition_of_fp32_groups:
            zero.optimizer.state[partition] = {
                "step": torch.tensor(float(step)),
                **{moment: torch.zeros_like(partition) for moment in MOMENTS},
            }
        if flat is None:
            zero._lazy_init_hp_params_optimizer_state()

    def _restore(self, state: State) -> None:
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        for name, parameter in self.model.named_parameters():
            safe_set_full_fp32_param(parameter, state[name].to(parameter.device))
            for moment in MOMENTS:
                if (value := state.get(f"{name}|{moment}")) is not None:
                    value = value.to(parameter.device)
                    safe_set_full_optimizer_state(parameter, value, moment)
