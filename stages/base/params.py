"""Params of the base model."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from stages.common.schema import Count, NonNegative, Positive, Section
from stages.training.params import TrainingParams


class Architecture(Section):
    """Shape of an OLMo-2 that is trained from scratch."""

    hidden_size: Count
    intermediate_size: Count
    num_hidden_layers: Annotated[int, Field(ge=1, le=1024)]
    """At most 1,024: what a layer is, is written down for each before anything is checked."""
    num_attention_heads: Count
    num_key_value_heads: Count
    max_position_embeddings: Count
    """The trained length; YaRN extends from here."""
    rope_theta: Positive
    rms_norm_eps: Positive = 1e-6
    tie_word_embeddings: bool = False
    initializer_range: Positive = 0.02

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads is {self.num_attention_heads} and does not divide "
                f"hidden_size {self.hidden_size}; give a divisor"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_key_value_heads is {self.num_key_value_heads} and does not divide "
                f"num_attention_heads {self.num_attention_heads}; give a divisor"
            )
        if (self.hidden_size // self.num_attention_heads) % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} / num_attention_heads {self.num_attention_heads} "
                "is an odd head size; rotation works on pairs: take an even one"
            )
        return self


class Start(Section):
    """Initial weights of a model from scratch, where they differ from ``initializer_range``.

    Chosen in the trials that CHANGELOG.md records, together with the optimizer and the documents;
    they were not isolated from one another.
    """

    embedding_std: Positive
    """Of the input embeddings."""
    shared_direction: NonNegative
    """RMS of one random direction added to every embedding, so that attention by position alone is
    possible from the first step."""
    head_scale: NonNegative
    """The head starts as this times the input embeddings (untied from then on); 0: at random."""
    orthogonal_values: bool
    """The maps to and from the attention's values start orthogonal."""


class BaseParams(Section):
    """The model whose pre-training is continued."""

    source: str
    """``scratch``, or a Hugging Face folder or hub id."""
    needs: str
    """What the stage depends on: the tokens (scratch), the folder itself, or the tokenizer (hub)."""
    revision: str | None = None
    moments: bool = False
    """Whether to go on with Adam's moments, which an OLMo-native folder has beside its weights."""
    seed: Annotated[int, Field(ge=0)] = 0
    """``scratch``: of the initial weights and the data order."""
    architecture: Architecture | None = None
    """Shape of the model: ``scratch`` builds it, any other source must have it."""
    start: Start | None = None
    training: TrainingParams | None = None

    @model_validator(mode="after")
    def _scratch_is_described(self) -> Self:
        if self.source == "scratch" and (self.architecture is None or self.training is None):
            raise ValueError(
                "source 'scratch' needs the keys 'architecture' and 'training'; give both, or name a "
                "model in source"
            )
        return self
