"""A run on a Ray cluster, from a laptop: submit, status, logs, cancel, fetch (Ray Jobs over HTTP)."""
