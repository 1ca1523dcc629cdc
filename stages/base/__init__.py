"""The base model: pre-trained from scratch with RoPE, or taken from a folder or the hub."""
