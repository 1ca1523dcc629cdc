"""DeepSpeed's engine around a causal language model and its loss."""

import os

import torch
from torch import Tensor, nn

from stages.common.errors import UserError
from stages.common.training import named_state, optimizer
from stages.common.training.execution import Execution
from stages.common.training.named_state import State
from stages.common.training.objective import next_token_loss
from stages.common.training.params import TrainingParams


class Engine:
    """A model under DeepSpeed, started from ``state``.

    ``state`` holds fp32 weights and, when a run goes on from ``step``, the optimizer's moments; it is
    what the master weights become, whatever the precision of the passes.
    """

    def __init__(
        self,
        model: nn.Module,
        params: TrainingParams,
        execution: Execution,
        parts: int,
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
        self.model = model
        self.zero_stage = zero_stage(params, execution)
        self._engine, *_ = deepspeed.initialize(
            model=_Objective(model, params.z_loss),
            optimizer=optimizer.build(model, params),
            config={
                # Rows per pass vary with the length schedule; DeepSpeed only divides by the parts.
                "train_micro_batch_size_per_gpu": 1,
                "gradient_accumulation_steps": parts,
                "gradient_clipping": params.grad_clip,
                "bf16": {"enabled": params.precision == "bf16"},
                "zero_optimization": {"stage": self.zero_stage},
                "zero_allow_untested_optimizer": True,
                "steps_per_print": 2**31,
            },
        )
        self._full_lr = [group["lr"] for group in self._engine.optimizer.param_groups]
        if self.zero_stage:
            named_state.prime(self._engine.optimizer, step)
            named_state.write_partitioned(model, state)
        else:
            named_state.write_whole(model, self._engine.optimizer, state)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return torch.device(self._engine.device)

    def scale_learning_rates(self, share: float) -> None:
        """Set every group's learning rate of the next step to ``share`` of its full one."""
        for group, full in zip(self._engine.optimizer.param_groups, self._full_lr, strict=True):
            group["lr"] = full * share

    def accumulate(self, ids_BT: Tensor) -> Tensor:
        """Forward and backward of one part of the batch, and the step after its last part.

        Returns the part's mean cross-entropy, not synchronised with the host.
        """
        entropy, objective = self._engine(ids_BT.to(self.device, non_blocking=True))
        self._engine.backward(objective)
        self._engine.step()
        return entropy

    def state(self) -> State:
        """The whole training state on the CPU; every rank must call it."""
        if self.zero_stage:
            return named_state.read_partitioned(self.model)
        return named_state.read_whole(self.model, self._engine.optimizer)


def zero_stage(params: TrainingParams, execution: Execution) -> int:
    """The ZeRO stage to run with; raises ``UserError`` where the optimizer cannot be partitioned."""
    wanted = execution.zero_stage
    if params.optimizer == "muon":
        if wanted:  # Muon orthogonalises whole matrices; ZeRO would cut them
            raise UserError(f"REPO_ZERO is {wanted}: optimizer 'muon' needs 0; unset it")
        return 0
    if wanted == 0 and params.precision != "fp32":
        raise UserError("REPO_ZERO is 0: precision 'bf16' needs 1, 2 or 3; unset it")
    return 1 if wanted is None else wanted


class _Objective(nn.Module):
    """The model with its loss, so that one forward pass of the engine covers both."""

    def __init__(self, model: nn.Module, z_loss: float) -> None:
        super().__init__()
        self.model, self.z_loss = model, z_loss

    def forward(self, ids_BT: Tensor) -> tuple[Tensor, Tensor]:
        hidden_BTD = self.model.model(input_ids=ids_BT, use_cache=False).last_hidden_state  # type: ignore[operator, union-attr]
        head_VD = self.model.get_output_embeddings().weight  # type: ignore[operator, union-attr]
        return next_token_loss(hidden_BTD, head_VD, ids_BT, self.z_loss)
