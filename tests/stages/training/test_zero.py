"""What this project uses of DeepSpeed beyond its public functions: each by name, and what it is for."""

import inspect

import pytest
from deepspeed.runtime.zero.stage3 import DeepSpeedZeroOptimizer_Stage3
from deepspeed.runtime.zero.stage_1_and_2 import DeepSpeedZeroOptimizer
from deepspeed.utils.tensor_fragment import tensor_fragment

from stages.common.files import read_json
from tests.stages.training.recipes import Runs

PRIVATE = {
    DeepSpeedZeroOptimizer: (
        "single_partition_of_fp32_groups",
        "_lazy_init_hp_params_optimizer_state",
        "update_lp_params",
        "overflow",
    ),
    DeepSpeedZeroOptimizer_Stage3: (
        "fp32_partitioned_groups_flat",
        "persistent_parameters",
        "overflow",
    ),
    tensor_fragment: ("lp_fragment_address", "get_hp_fragment"),
}


@pytest.mark.parametrize("place", PRIVATE, ids=lambda place: place.__name__.rpartition(".")[2])
def test_the_privates_are_where_they_were(place: type) -> None:
    code = inspect.getsource(place)
    assert [name for name in PRIVATE[place] if name not in code] == []


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_rank_reads_of_a_checkpoint_what_it_holds(resumed: Runs, stage: int) -> None:
    found = [read_json(resumed.folder / f"zero1/read-{stage}-{rank}of2.json") for rank in (0, 1)]
    for rank in found:
        assert 0 < rank["read"] <= 1.1 * rank["held"]
        assert rank["held"] < 0.6 * rank["of"]
    assert sum(rank["read"] for rank in found) <= found[0]["of"]
