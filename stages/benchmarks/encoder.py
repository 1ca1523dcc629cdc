"""The encoder's former place: ``stages.common.encoder`` is the one for all stages."""

from stages.common.encoder import Encoder, Located, Span

__all__ = ["Encoder", "Located", "Span"]
