"""Every line of ours that chooses a device, on a GPU that is not there (docs/devices.md lists them)."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from deepspeed.utils.mixed_precision_linkage import lazy_init_hp_params_optimizer_state
from deepspeed.utils.tensor_fragment import fragment_address, tensor_fragment
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException

import repo_model
from repo_model.diagnostics import position_stats
from repo_model.packing import document_position_ids
from repo_model.recording import position_taps, record_positions
from stages.training import health, named_state, zero
from stages.training.engine import _FiniteOnly, _Objective
from stages.training.named_state import MOMENTS
from stages.training.optimizer import adamw
from stages.training.params import TrainingParams
from stages.training.writer import CheckpointWriter
from tests.devices import fake


def tiny(**changes: Any) -> nn.Module:
    fields: dict[str, Any] = {
        "positions": ["rope", "repo", "nope"],
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": 0,
    }
    return repo_model.RepoOlmo2ForCausalLM(repo_model.RepoOlmo2Config(**{**fields, **changes}))


class Zero:
    """What ``zero.py`` sees of ZeRO 1 or 2: one flat fp32 partition, linked by DeepSpeed's own code."""

    def __init__(self, where: torch.device, fused: bool = True) -> None:
        flat = torch.empty(100, device=where)
        self.single_partition_of_fp32_groups = [flat]
        self.optimizer = torch.optim.AdamW([nn.Parameter(flat)], fused=fused)
        self.optimizer.param_groups[0]["params"] = [flat]
        self.model = nn.ParameterList(
            nn.Parameter(torch.empty(n, dtype=torch.bfloat16, device=where)) for n in (60, 40)
        )
        self.updated = False
        for parameter, (start, count) in zip(self.model, ((0, 60), (60, 40)), strict=True):
            address = fragment_address(count, start)
            own = fragment_address(count, 0)
            held = tensor_fragment(
                parameter, own, flat.narrow(0, start, count), address, {}, {}, False, 0
            )
            parameter._hp_mapping = held  # type: ignore[attr-defined]

    def _lazy_init_hp_params_optimizer_state(self) -> None:
        flat = self.single_partition_of_fp32_groups[0]
        lazy_init_hp_params_optimizer_state(list(self.model), flat, self.optimizer.state)

    def update_lp_params(self) -> None:
        self.updated = True


def test_the_fault_that_was_there_is_found() -> None:
    """Adam's step on the host, as ``prime`` made it until this was written."""
    with fake.device("cuda") as gpu:
        made = Zero(gpu)
        zero.prime(made, 5)
        flat = made.single_partition_of_fp32_groups[0]
        made.optimizer.state[flat]["step"] = torch.tensor(5.0)
        flat.grad = torch.empty_like(flat)
        with pytest.raises(RuntimeError, match="_fused_adamw_ takes tensors on"):
            made.optimizer.step()


@pytest.mark.parametrize("third", [False, True])
def test_a_primed_partition_is_stepped_by_the_fused_kernel(third: bool) -> None:
    with fake.device("cuda") as gpu:
        made: Any = Zero(gpu)
        flat = made.single_partition_of_fp32_groups[0]
        primed = made
        if third:
            primed = SimpleNamespace(fp32_partitioned_groups_flat=[flat], optimizer=made.optimizer)
        zero.prime(primed, 5)
        assert fake.devices(made.optimizer.state[flat]) == {"cuda"}
        flat.grad = torch.empty_like(flat)
        made.optimizer.step()


def test_an_optimizer_in_host_memory_keeps_its_step_there() -> None:
    with fake.device("cuda") as gpu:
        made = Zero(torch.device("cpu"), fused=False)
        zero.prime(made, 5)
        flat = made.single_partition_of_fp32_groups[0]
        assert fake.devices(made.optimizer.state[flat]) == {"cpu"}
        assert gpu.type == "cuda"


def test_a_state_on_the_host_is_written_into_partitions_on_the_device() -> None:
    with fake.device("cuda") as gpu:
        made = Zero(gpu)
        zero.prime(made, 5)
        names = [name for name, _ in made.model.named_parameters()]
        sizes = {name: p.numel() for name, p in made.model.named_parameters()}
        state = {name: torch.empty(sizes[name]) for name in names}
        state |= {f"{name}|{m}": torch.empty(sizes[name]) for name in names for m in MOMENTS}
        zero.write(made.model, made, 1, state)
        assert made.updated
        held = zero.fragments(made.model, 1)
        assert set(held) == {f"{entry}@0" for entry in state}
        assert fake.devices(held) == {"cuda"}


@pytest.mark.parametrize("fused", [True, False])
def test_without_zero_a_state_is_written_where_torch_keeps_it(
    training_params: TrainingParams, fused: bool
) -> None:
    model = tiny()
    with fake.device("cuda") as gpu, torch.no_grad():
        fake.place(model, gpu)
        optimizer = adamw(model, training_params, fused=fused)
        state = {name: torch.empty(p.shape) for name, p in model.named_parameters()}
        for name, parameter in model.named_parameters():
            state |= {f"{name}|{moment}": torch.empty(parameter.shape) for moment in MOMENTS}
            state[f"{name}|step"] = torch.empty(())
            parameter.grad = torch.empty_like(parameter)
        steps = {f"{name}|step": 3.0 for name, _ in model.named_parameters()}
        named_state.write_whole(model, optimizer, {**state, **steps})  # type: ignore[dict-item]
        optimizer.step()


def test_a_copy_to_the_host_is_of_everything(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append(True))
    writer = CheckpointWriter(tmp_path, 0, 1, "a", 2, {})
    real = torch.empty

    def unpinned(*shape: Any, pin_memory: bool = False, **options: Any) -> Tensor:
        asked.append(pin_memory)
        return real(*shape, **options)

    asked: list[bool] = []
    with fake.device("cuda") as gpu:
        monkeypatch.setattr(torch, "empty", unpinned)
        writer._copy({"a@0": real(7, device=gpu), "b@0": real(3, device=gpu)})
        assert fake.devices(writer._host) == {"cpu"}
    assert asked == [True, True]
    assert waited == [True]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("masked_after", [None, 0])
def test_the_objective_runs_on_the_device_alone(
    dtype: torch.dtype, masked_after: int | None
) -> None:
    model = tiny()
    with fake.device("cuda") as gpu, torch.no_grad():
        objective = _Objective(fake.place(model, gpu, dtype), 1e-4, masked_after, "chunked")
        ids_BT = torch.empty(2, 16, dtype=torch.long, device=gpu)
        assert fake.devices(objective(ids_BT)) == {"cuda"}
        if masked_after is not None:
            assert fake.devices(document_position_ids(ids_BT, masked_after)) == {"cuda"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_gradient_is_on_the_device(dtype: torch.dtype) -> None:
    model = tiny()
    with fake.device("meta") as gpu:
        objective = _Objective(fake.place(model, gpu, dtype), 1e-4, None, "chunked")
        _, trained_on = objective(torch.empty(2, 16, dtype=torch.long, device=gpu))
        trained_on.backward()
        gradients = [p.grad for p in model.parameters()]
        assert all(gradient is not None for gradient in gradients)
        assert fake.devices(gradients) == {"meta"}


def test_positions_and_their_figures_stay_on_the_device() -> None:
    model = tiny()
    with fake.device("cuda") as gpu, torch.no_grad():
        fake.place(model, gpu, torch.bfloat16)
        assert list(position_taps(model)) == [1]
        with record_positions(model) as recorder:
            model.model(  # type: ignore[operator, union-attr]
                input_ids=torch.empty(1, 16, dtype=torch.long, device=gpu), use_cache=False
            )
        z_BTK = recorder[1]
        assert z_BTK.dtype == torch.float32
        stats = position_stats(z_BTK)
        assert fake.devices(z_BTK) <= {"cuda", "cpu"}
        assert fake.devices(stats) == fake.devices(z_BTK)


def test_what_reads_a_value_on_the_host_is_known(training_params: TrainingParams) -> None:
    """Each of these makes the host wait; they are where the cadence is low, or at ZeRO 0 only."""
    model = tiny()
    with fake.device("cuda") as gpu, torch.no_grad():
        fake.place(model, gpu)
        row = torch.empty(1, 16, dtype=torch.long, device=gpu)
        with pytest.raises(DataDependentOutputException):
            health.positions(model, row)
        optimizer = adamw(model, training_params, fused=True)
        for parameter in model.parameters():
            parameter.grad = torch.empty_like(parameter)
        guard = _FiniteOnly(optimizer)
        with pytest.raises(DataDependentOutputException):
            optimizer.step()
        assert not guard.skipped
