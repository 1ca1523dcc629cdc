"""What the stages share: params, paths, resumable state, how a stage starts and ends, training."""
