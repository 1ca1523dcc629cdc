"""Complete params files to start from; ``repo-pipeline use NAME`` puts one in place."""
