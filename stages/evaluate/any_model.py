"""Any Hugging Face causal model on a suite of tasks: ``repo-pipeline evaluate MODEL ...``.

Works offline, without DVC and without params.yaml. Samples and results are kept under
``REPO_RUNS``: the same command again goes on where it was stopped, and one that is finished only
prints its table. ``--out FOLDER`` gets metrics.json and one record a sample.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout

from stages.benchmarks import (
    kept,
    longbench,
    longbench_v2,
    official,
    ruler,
    ruler_files,
    structured,
)
from stages.benchmarks.samples import add_sources, at_least, options_named, writable_folder
from stages.common import runs
from stages.common.command import Parser, ended
from stages.common.encoder import Encoder
from stages.common.errors import TryAgain, UserError
from stages.common.files import sha256
from stages.common.trained import KEY
from stages.common.variables import is_whole
from stages.evaluate import (
    endpoint,
    ends,
    general,
    generate_batch,
    given,
    layouts,
    long_documents,
    made,
    measured,
    pool,
    table,
    vllm_engine,
)
from stages.evaluate.chosen import chosen, lengths_of_data, samples_that_fit
from stages.evaluate.hub import model_folder, tokenizer_folder
from stages.evaluate.models import extension, identified, settings, trained_window, window
from stages.evaluate.parts import Cutting, cut
from stages.evaluate.shards import OWN_ENGINE, STATIC_ENGINE, Model
from stages.evaluate.worker import Worker, carried

ENGINES = (OWN_ENGINE, STATIC_ENGINE, generate_batch.ENGINE, vllm_engine.ENGINE)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with the code that says how it ended."""
    parser = Parser(prog="repo-pipeline evaluate", description=__doc__)
    parser.add_argument("model", help="folder, or hub id, of a causal model")
    suites = (ruler.SUITE, *longbench.SUITES, *structured.names())
    suites += (long_documents.SUITE, general.SUITE)
    parser.add_argument("--suite", choices=suites, default=ruler.SUITE, help="what is asked")
    parser.add_argument("--lengths", help="tokens, with commas; default: the trained length")
    parser.add_argument("--tasks", help="with commas; default: all of the suite")
    parser.add_argument("--num", type=int, help="samples a cell (nvidia: 500, repo-paper: 100)")
    parser.add_argument(
        "--protocol", choices=official.PROTOCOLS, default="nvidia", help="whose rules"
    )
    parser.add_argument("--seed", type=int, default=42, help="of the samples")
    parser.add_argument(
        "--data",
        help="folder of RULER, LongBench, LongBench v2, NLGraph or HybridQA; or a FILE.jsonl of "
        "token ids",
    )
    parser.add_argument(
        "--max-length", type=int, help="LongBench's own: tokens of a prompt (3500, 31500, ...)"
    )
    parser.add_argument("--out", type=Path, help="folder for metrics.json and the records")
    parser.add_argument("--against", type=Path, help="an earlier --out folder to compare with")
    parser.add_argument(
        "--yarn", action="store_true", help="extend it beyond its trained length by YaRN"
    )
    parser.add_argument(
        "--new-tokens", type=int, help="budget of every answer; default: the task's"
    )
    parser.add_argument(
        "--template",
        default="none",
        help="how prompts are framed: none; auto, the tokenizer's chat template; or a file (Jinja, or "
        "with {task_template})",
    )
    parser.add_argument(
        "--no-prefix", action="store_true", help="RULER's prompts without their answer prefix"
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse a task that does not fit a length"
    )
    parser.add_argument("--full", action="store_true", help="write on after all answers are found")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=OWN_ENGINE,
        help="what generates: static and continuous are transformers' generate and generate_batch, "
        "vllm has an environment of its own (infra/vllm/setup.sh)",
    )
    parser.add_argument(
        "--endpoint",
        help="OpenAI-compatible server, https://host/v1; MODEL is then the tokenizer's",
    )
    parser.add_argument("--model", dest="served", help="the model's name at the endpoint")
    parser.add_argument("--trust-remote-code", action="store_true", help="run the model's own code")
    add_sources(parser)
    options = parser.parse_args(arguments)
    ended(lambda: _evaluate(options))


def _evaluate(options: Any) -> None:
    if options.trust_remote_code:
        os.environ["REPO_TRUST_REMOTE_CODE"] = "1"
    at_least(options, num=1, new_tokens=1, seed=0)
    if options.out is not None:
        writable_folder(options.out, options.out)
    if options.no_prefix and options.suite != ruler.SUITE:
        raise UserError("--no-prefix is for --suite ruler; the others have no answer prefix")
    if options.suite == long_documents.SUITE:
        long_documents.check(options)
    elif given.wanted(options):
        given.evaluate(options)
        return
    if options.max_length is not None:
        if options.suite not in (*longbench.SUITES, longbench_v2.SUITE):
            raise UserError(
                "--max-length is for --suite longbench, longbench_e and longbench_v2; leave it out"
            )
        at_least(options, max_length=16)
    if options.engine == vllm_engine.ENGINE:
        vllm_engine.python()
    remote = endpoint.endpoint(options)
    if options.suite == general.SUITE:
        if options.engine != OWN_ENGINE:
            raise UserError("--engine is not for --suite general; leave it out")
        general.evaluate(options)
        return
    folder = model_folder(options.model)
    config = settings(folder)
    lengths = _lengths(options, config)
    model = identified(folder) if remote is None else remote.model
    models = {length: _at(model, length, config, options.yarn) for length in lengths}
    tokenizer = tokenizer_folder(folder)
    state = runs.root() / "evaluate" / f"model-{model.sha256[:16]}"
    if options.suite == long_documents.SUITE:
        with _owned(state) as work:
            long_documents.evaluate(options, models, config, tokenizer, work)
        return
    encoder = Encoder(tokenizer)
    eos_ids = ends.of_folder(folder, encoder.eos_id())
    against = None if options.against is None else measured.read(options.against)
    with options_named():
        found, left_out = samples_that_fit(chosen(options, lengths), tokenizer, options.strict)
    root = kept.root()
    if options.num is not None and options.data is not None and options.suite == ruler.SUITE:
        _say_fewer(found, options)
    how = Cutting(root, eos_ids, pool.batch_tokens(), not options.full, options.engine)
    if remote is not None:  # a sample a request; the server ends the answers
        how = Cutting(root, (), 1, False, endpoint.ENGINE)
    parts = [cut(one.file, sha256(root / one.file), models[one.part.length], how) for one in found]
    shards = [shard for part in parts for shard in part.shards]
    shards.sort(key=lambda shard: shard.model.yarn_factor or 1.0)
    with _owned(state) as work:
        places = (Path("/"), root, Path(), tokenizer.absolute(), None, carried())
        if remote is None:
            results = pool.finish(shards, work / "shards", Worker, places)
        else:
            results = endpoint.finish(remote, shards, work / "shards", root, encoder)
    outcome = measured.measure(
        parts,
        results,
        encoder,
        {
            "model": options.model if remote is None else remote.name,
            "sha256": model.sha256,
            "suite": options.suite,
            "protocol": options.protocol,
            "seed": options.seed,
            "opening_ids": encoder.opening(),
            "stop_when_answered": how.stop_when_answered,
            "eos_ids": list(how.eos_ids),
            **({} if options.new_tokens is None else {"new_tokens": options.new_tokens}),
            **({} if options.max_length is None else {"max_length": options.max_length}),
            **({"answer_prefix": False} if options.no_prefix else {}),
            **({"left_out": left_out} if left_out else {}),
            "trained": _trained(config),
            "corpora": made.corpora(
                [(root / one.file).parents[1] / "manifest.json" for one in found]
            ),
            "made": {
                **made.decoding(results, how.batch_tokens),
                **made.template(options.template),
                "engine": how.engine,
            },
            "samples": {f"{p.task}-{p.length}": p.shards[0].source_sha256 for p in parts},
            **({} if how.engine == OWN_ENGINE else {"engine": how.engine}),
        },
    )
    if options.out is not None:
        measured.write(options.out, outcome)
        layouts.write(options.out, outcome, parts)
    for line in table.lines(outcome, against):
        print(line)


def _say_fewer(found: Sequence[kept.Kept], options: Any) -> None:
    """RULER's own files that have fewer rows than ``--num``."""
    rows = {f"{one.part.task}-{one.part.length}": ruler_files.rows_in(one.path) for one in found}
    if few := ruler_files.fewer(rows, dict.fromkeys(rows, options.num)):
        print(f"repo-pipeline: --num is {options.num}: {few}", file=sys.stderr, flush=True)


@contextmanager
def _owned(folder: Path) -> Iterator[Path]:
    """A folder of results that this process alone writes to."""
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=runs.LOCK_WAIT_S)
    except Timeout:
        raise TryAgain(f"{folder}: another evaluation of this model holds it") from None
    try:
        yield folder
    finally:
        lock.release()


def _lengths(options: Any, config: dict[str, Any]) -> list[int]:
    """The lengths asked for; one beyond the model's window is refused, unless YaRN extends it."""
    widest = window(config)
    if options.lengths is None:
        if of_data := lengths_of_data(options):
            return _fitting(options, widest, of_data)
        # An extended folder reads its whole window; any other what it was trained at.
        default = widest if extension(config) else trained_window(config)
        if default is None:
            raise UserError("--lengths is missing, and the model's config.json names no window")
        return [default]
    texts = [text.strip() for text in options.lengths.split(",")]
    if not all(is_whole(text) and int(text) >= 16 for text in texts):
        raise UserError(
            f"--lengths is {options.lengths[:80]!r}: give whole numbers from 16 up, as 4096,8192"
        )
    return _fitting(options, widest, sorted({int(text) for text in texts}))


def _fitting(options: Any, widest: int | None, lengths: list[int]) -> list[int]:
    if widest is not None and lengths[-1] > widest and not options.yarn:
        raise UserError(
            f"--lengths has {lengths[-1]}, but the window of {options.model} is {widest} tokens; "
            "drop it, or extend the model with --yarn"
        )
    return lengths


def _trained(config: dict[str, Any]) -> dict[str, Any] | None:
    """The trained length, and whether it is recorded or only the window; none where neither is."""
    length = trained_window(config)
    recorded = bool(config.get(KEY))
    return None if length is None else {"length": length, "recorded": recorded}


def _at(model: Model, length: int, config: dict[str, Any], yarn: bool) -> Model:
    """The model for a length: with YaRN, by the factor that the length is beyond what was trained."""
    trained = trained_window(config)
    if not yarn or trained is None:
        return model
    return Model(model.folder, model.sha256, max(1.0, length / trained))


if __name__ == "__main__":
    main()
