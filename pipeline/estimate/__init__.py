"""What a run would take: tokens, steps, FLOPs, memory, hours, money, disk (``repo-pipeline plan``)."""
