"""Configurations: a stock configuration plus the position type of every layer.

Added keys: `positions` (one of rope, nope, repo per layer) and `yarn_layers` (which layers a YaRN
extension touches). In memory `rope_parameters` is the stock one. On disk its `rope_type` is
replaced by a name no stock model knows, so that a loader that ignores `model_type` (a stock class's
`from_pretrained`, another engine's native OLMo-2) stops instead of silently running plain RoPE.
"""

from typing import Any

from transformers import LlamaConfig, Olmo2Config, Qwen3Config

from .position_types import layer_types

REFUSED_BY_STOCK = "repo_needs_trust_remote_code"
YARN_LAYERS = ("all", "rope")


class RepoConfigMixin:
    """Adds learned positions to a stock configuration; put it before the stock class.

    Keys (beside the stock ones):
        positions: a preset (`rope`, `nope`, `r2n1`, `n2r1`, `repo`) or one type per layer. Always
            the resolved list afterwards. Default `repo`.
        start_layer, layers: only with the preset `repo`; they end in the list and are not kept.
        yarn_layers: `all` (as the official code: RoPE and RePo layers) or `rope` (as the paper
            words it); NoPE layers never. Only read where `rope_parameters` says YaRN.

    Raises:
        ValueError: one line, for anything PAPER.md section 1 cannot be built from.
    """

    _auto_class: str | None = "AutoConfig"
    rope_parameters: Any
    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    num_key_value_heads: Any

    def __post_init__(self, **kwargs: Any) -> None:
        positions = kwargs.pop("positions", "repo")
        start_layer, layers = kwargs.pop("start_layer", None), kwargs.pop("layers", None)
        yarn_layers = kwargs.pop("yarn_layers", "all")
        rope = dict(self.rope_parameters or {})
        if rope.get("rope_type") == REFUSED_BY_STOCK:
            rope["rope_type"] = rope.pop("stock_rope_type")
        self.rope_parameters = rope
        super().__post_init__(**kwargs)  # type: ignore[misc]
        self.positions = layer_types(positions, self.num_hidden_layers, start_layer, layers)
        if yarn_layers not in YARN_LAYERS:
            raise ValueError(
                f"yarn_layers={yarn_layers!r} is unknown; choose one of {', '.join(YARN_LAYERS)}"
            )
        self.yarn_layers = yarn_layers
        self._check_heads()

    def _check_heads(self) -> None:
        width, heads, kv_heads = (
            self.hidden_size,
            self.num_attention_heads,
            self.num_key_value_heads,
        )
        head_dim = getattr(self, "head_dim", None)
        if heads < 1 or kv_heads < 1 or heads % kv_heads:
            raise ValueError(
                f"num_attention_heads={heads} does not divide by num_key_value_heads={kv_heads}"
            )
        if head_dim is None and width % heads:
            raise ValueError(f"hidden_size={width} does not divide by num_attention_heads={heads}")
        if (head_dim or width // heads) % 2:
            raise ValueError(
                f"the head size {head_dim or width // heads} is odd; a rotation needs pairs"
            )
        if width < 8:
            raise ValueError(
                f"hidden_size={width} is below 8; the position maps are hidden_size // 8 wide"
            )
        if self.rope_parameters.get("partial_rotary_factor", 1.0) != 1.0:
            raise ValueError("partial_rotary_factor is not supported: RePo rotates whole heads")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as config.json has it, with `auto_map` and the refused rope_type."""
        output = super().to_dict()  # type: ignore[misc]
        rope = dict(output["rope_parameters"])
        output["rope_parameters"] = {
            **rope,
            "rope_type": REFUSED_BY_STOCK,
            "stock_rope_type": rope["rope_type"],
        }
        family = type(self).__name__.removesuffix("Config")
        output["auto_map"] = {
            "AutoConfig": f"configuration_repo.{family}Config",
            "AutoModel": f"modeling_repo.{family}Model",
            "AutoModelForCausalLM": f"modeling_repo.{family}ForCausalLM",
        }
        output.pop("_name_or_path", None)
        return output


class RepoOlmo2Config(RepoConfigMixin, Olmo2Config):
    """OLMo-2 with learned positions: every key of `Olmo2Config` and those of `RepoConfigMixin`."""

    model_type = "repo_olmo2"


class RepoLlamaConfig(RepoConfigMixin, LlamaConfig):
    """Llama with learned positions: every key of `LlamaConfig` and those of `RepoConfigMixin`."""

    model_type = "repo_llama"


class RepoQwen3Config(RepoConfigMixin, Qwen3Config):
    """Qwen3 with learned positions: every key of `Qwen3Config` and those of `RepoConfigMixin`."""

    model_type = "repo_qwen3"
