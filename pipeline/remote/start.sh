# What Ray runs on the head: the Python that the node's Ray runs with, whatever is on PATH.
# Ray gives an entry point no interpreter; the raylet's own command line names it.
python=$(tr '\0' '\n' 2>/dev/null <"/proc/${RAY_RAYLET_PID:-0}/cmdline" |
    sed -n 's/^--python_worker_command=\([^ ]*\).*/\1/p')
exec "${python:-python}" -m pipeline.remote.job
