"""Benchmark samples: built once, with token ids, for every model that is evaluated."""
