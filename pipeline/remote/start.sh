# What Ray runs on the head: the Python that the node's Ray runs with, whatever is on PATH.
# Ray gives an entry point neither interpreter nor the raylet's pid; but the raylet is an ancestor, and
# its command line names the interpreter.
python=
pid=$$
while [ -z "$python" ] && [ -r "/proc/$pid/cmdline" ]; do
    python=$(tr '\0' '\n' <"/proc/$pid/cmdline" |
        sed -n 's/^--python_worker_command=\([^ ]*\).*/\1/p')
    pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
done
exec "${python:-python}" -m pipeline.remote.entry
