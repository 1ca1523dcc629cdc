"""Params of the token shards."""

from stages.common.schema import Count, Section


class TokenizeParams(Section):
    """How token ids are laid out on disk."""

    shard_tokens: Count
    """A shard is closed at the first document's end past this many tokens."""
