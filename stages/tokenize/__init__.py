"""The corpus as flat shards of token ids."""
