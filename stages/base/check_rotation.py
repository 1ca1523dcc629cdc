"""The rotary parameters of a base's config.json: what no class takes, or takes for something else."""

from collections.abc import Callable, Iterator
from typing import Any

from stages.common.rope import KINDS, contradicted, parts_of

ROPE_TYPES = ("default", "linear", "llama3", "yarn")
"""What ``repo_model.frequencies`` reads on layers with learned positions (a test holds the two equal);
another would show when the first such training starts."""
OF_STOCK = {"phi3": ("default",)}
"""Families whose stock class takes fewer; a folder of ours (``repo_phi3``) may hold the others."""
NEEDED = {
    "linear": ("factor",),
    "yarn": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
}
"""By ``rope_type``, what its frequencies are computed from."""
WINDOW = "original_max_position_embeddings"
OF_WINDOW = ("yarn", "llama3")
"""Types that are computed from it, too."""
LONGROPE = ("long_factor", "short_factor")
BY_LAYER_TYPE = {"olmo3": 500_000.0, "gemma3_text": None}
"""Families whose ``rope_parameters`` stand by kind of layer, and the theta that their class takes for
all kinds where they do not; none: it takes several."""
LOCAL = {"gemma3_text": "rope_local_base_freq"}
"""Families with an older name of the windows' theta."""
PARTIAL = "partial_rotary_factor"
COPY = "copy the model's files again"

Config = dict[str, Any]
Wrong = tuple[str, str]
"""What is wrong, and the fix."""


def check(config: Config) -> Wrong | None:
    """The first thing that is wrong; none: the rotation is what config.json says."""
    family = str(config["model_type"]).removeprefix("repo_")
    looks: tuple[Callable[[str, Config], Wrong | None], ...]
    looks = (_two_names, _parts, _of_no_kind, _beside, _partial)
    return next((wrong for look in looks if (wrong := look(family, config))), None)


def _two_names(family: str, config: Config) -> Wrong | None:
    if not (key := contradicted(config)):
        return None
    value = (config.get("rope_parameters") or {}).get(key)
    return (
        f"rope_parameters.{key} is {value!r} and rope_scaling beside it says otherwise; "
        "transformers takes rope_scaling",
        "take one of the two out",
    )


def _parts(family: str, config: Config) -> Wrong | None:
    """Each set of parameters."""
    stock = OF_STOCK.get(str(config["model_type"]), ROPE_TYPES)
    for name, rope in _named(config):
        for wrong in (
            _type(name, _kind(rope), stock),
            _missing(name, _kind(rope), rope),
            _ignored(name, family, rope),
        ):
            if wrong:
                return wrong
    return None


def _named(config: Config) -> Iterator[tuple[str, Config]]:
    return ((name, part or {}) for name, part in parts_of(config).items())


def _kind(rope: Config) -> Any:
    """The type, by whichever name; whoever has factors per frequency is read as LongRoPE."""
    kind = rope.get("stock_rope_type") or rope.get("rope_type", rope.get("type", "default"))
    return "longrope" if kind and any(key in rope for key in LONGROPE) else kind


def _type(name: str, kind: Any, known: tuple[str, ...]) -> Wrong | None:
    if not isinstance(kind, str) or not kind:
        return f"{name}.rope_type is {kind!r}", COPY
    if kind in known:
        return None
    own = "" if known == ROPE_TYPES else ", not by transformers' own class either"
    return (
        f"{name}.rope_type {kind!r} is not supported{own}",
        f"take a model with {', '.join(known)}",
    )


def _missing(name: str, kind: str, rope: Config) -> Wrong | None:
    if missing := [key for key in NEEDED.get(kind, ()) if rope.get(key) is None]:
        return f"{name}.rope_type {kind!r} has no {missing[0]}", COPY
    for key in ("rope_theta", *([WINDOW] if kind in OF_WINDOW else [])):
        if rope.get(key, 0) is None:
            return f"{name}.{key} is None", COPY
    return None


def _ignored(name: str, family: str, rope: Config) -> Wrong | None:
    """What the class does not read where it stands."""
    old = name == "rope_scaling" and "rope_type" not in rope
    if old and _kind(rope) != "default" and family in BY_LAYER_TYPE:
        return f"{name} has type {_kind(rope)!r}: transformers ignores it", "name it rope_type"
    by_kind = name.partition(".")[2]
    if by_kind and (family not in BY_LAYER_TYPE or name.startswith("rope_scaling")):
        return (
            f"{name} is {rope!r}, of one kind of layer: transformers ignores it",
            "say it of all layers, without their kind",
        )
    return None


def _of_no_kind(family: str, config: Config) -> Wrong | None:
    """Parameters of no kind of layer in a family that asks for the kind."""
    said = config.get("rope_parameters") or {}
    if family not in BY_LAYER_TYPE or not said or set(KINDS) & said.keys():
        return None
    plain: tuple[Config, ...] = ({}, {"rope_type": "default"})
    rest = {key: value for key, value in said.items() if key != "rope_theta"}
    if rest in plain and said.get("rope_theta", theta := BY_LAYER_TYPE[family]) == theta:
        return None
    return (
        f"rope_parameters is {said!r}, of no kind of layer: transformers ignores it",
        f"put it under {' and '.join(KINDS)}",
    )


def _beside(family: str, config: Config) -> Wrong | None:
    """What the class takes from outside of the parameters."""
    ropes = [rope for _, rope in _named(config)]
    names = [] if any("rope_theta" in rope for rope in ropes) else ["rope_theta"]
    names += [LOCAL[family]] if family in LOCAL and not ropes else []
    names += [WINDOW] if any(_kind(rope) in OF_WINDOW for rope in ropes) else []
    return next(((f"{key} is None", COPY) for key in names if config.get(key, 0) is None), None)


def _partial(family: str, config: Config) -> Wrong | None:
    """A part of the head that is rotated: none but Phi-3 has it, and a rotation needs pairs."""
    given = [rope for _, rope in _named(config) if PARTIAL in rope]
    read = given if given and family == "phi3" else [*given, config]
    for factor in (of[PARTIAL] for of in read if PARTIAL in of):
        if family != "phi3":
            if factor in (None, 1):
                continue
            return (
                f"{PARTIAL} is {factor}; RePo rotates whole heads",
                "take a model that rotates them too",
            )
        size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        number = isinstance(factor, int | float) and not isinstance(factor, bool)
        turned = int(size * factor) if number and 0 < factor <= 1 else 0
        if turned < 2 or turned % 2:
            return f"{PARTIAL} is {factor!r}: of a head of {size}, no even number of elements", COPY
    return None
