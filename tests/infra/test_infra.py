"""Every file under infra/, checked by the tool or the schema that reads it."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import cluster_file
from pipeline.estimate.estimate import estimate
from pipeline.estimate.machines import machine
from pipeline.plan import Decision
from pipeline.use import profiles
from stages.params import load

INFRA = Path(__file__).parents[2] / "infra"
SECRETS = re.compile(r"(AKIA[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE KEY|secret_access_key|password\s*=)")


def text_files() -> list[Path]:
    return sorted(p for p in INFRA.rglob("*") if p.is_file() and p.suffix != ".pyc")


@pytest.mark.parametrize("file", text_files(), ids=lambda file: file.relative_to(INFRA).as_posix())
def test_each_file_says_at_its_top_what_was_tried_and_holds_no_secret(file: Path) -> None:
    text = file.read_text()
    top = text[:1500]
    assert "Tried:" in top and "Not tried:" in top
    assert not SECRETS.search(text)


def test_every_kind_of_file_is_checked_here() -> None:
    kinds = {path.parent.name for path in text_files()}
    assert kinds == {
        *("aws", "gcp", "kubernetes", "docker", "dvc", "clusters", "local", "slurm", "vllm"),
    }


def test_bash_and_slurm_s_options_are_read(tmp_path: Path) -> None:
    """Without Slurm: the shell's grammar, and the options that the text around it promises."""
    script = INFRA / "slurm" / "repo-pipeline.sbatch"
    for read in (script, INFRA / "vllm" / "setup.sh"):
        subprocess.run(["bash", "-n", str(read)], check=True)
    options = re.findall(r"^#SBATCH (--[a-z-]+)(?:=(.*))?$", script.read_text(), re.MULTILINE)
    assert dict(options)["--signal"].startswith("B:USR1@")
    assert {"--requeue", "--open-mode", "--ntasks-per-node"} <= {name for name, _ in options}


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 2", 2), ("exit 1", 1)])
def test_a_slurm_job_of_one_node_ends_as_its_run(command: str, code: int, tmp_path: Path) -> None:
    """The script itself, as slurmd starts it; its record says how it ended."""
    script = INFRA / "slurm" / "repo-pipeline.sbatch"
    environment = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "7", "RP_RECORD": str(tmp_path)}
    words = ["bash", str(script), "bash", "-c", command]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "code").read_text().strip() == str(code)


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_rays_launcher_reads_the_file(cloud: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((INFRA / cloud / "cluster.yaml").read_text())
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    head = prepared["available_node_types"][prepared["head_node_type"]]
    assert head["resources"].get("GPU", 0) == 0 and head["max_workers"] == 0
    start = " ".join(prepared["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in start
    options = " ".join(prepared["docker"]["run_options"])
    assert "RAY_AUTH_MODE=token" in options and "REPO_RUNS=/shared" in options
    assert "~/.ray/auth_token" in prepared["file_mounts"]
    kinds = prepared["available_node_types"]
    assert kinds["head"]["resources"]["CPU"] == 0
    # tokenize, benchmarks and analyze ask for CPUs: they must not start a node with GPUs
    assert kinds["cpu"]["resources"].get("GPU", 0) == 0 and kinds["cpu"]["max_workers"] > 0
    spot = json.dumps(kinds["gpu"]["node_config"]).lower()
    assert '"spot"' in spot
    with pytest.raises(Exception, match=r"(?i)additional properties"):
        validate_config({**prepared, "available_nodes": {}})


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((INFRA / "kubernetes" / name).read_text()))


def kubernetes_checked(document: dict[str, Any]) -> None:
    import kubernetes_validate

    kubernetes_validate.validate(document, "1.32", strict=True)


def kuberay_checked(spec: dict[str, Any], kind: str) -> None:
    """KubeRay's own fields, by a schema reduced from its Go types (it says where they stand)."""
    import jsonschema

    schema = json.loads((Path(__file__).parent / "kuberay.json").read_text())
    jsonschema.validate(spec, {**schema, "$ref": f"#/definitions/{kind}"})


def ray_cluster_checked(spec: dict[str, Any]) -> None:
    """KubeRay's own fields by its schema, its pods by Kubernetes', and what we promise of both."""
    from importlib.metadata import version

    kuberay_checked(spec, "RayClusterSpec")
    assert spec["rayVersion"] == version("ray")
    assert spec["authOptions"] == {"mode": "token"}
    head = spec["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert "nvidia.com/gpu" not in json.dumps(head)
    groups = spec["workerGroupSpecs"]
    assert [group["groupName"] for group in groups] == ["cpu", "gpu"]
    assert "nvidia.com/gpu" not in json.dumps(groups[0])
    for group in groups:
        pod = group["template"]["spec"]  # the head's account may start pods: no worker's
        assert pod["serviceAccountName"] == "repo-worker"
        assert pod["automountServiceAccountToken"] is False
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (head, *groups):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
        kubernetes_checked({**pod, "spec": group["template"]["spec"]})
        environment = {
            e["name"]: e for c in group["template"]["spec"]["containers"] for e in c["env"]
        }
        assert environment["REPO_RUNS"]["value"].startswith("/shared")


def test_raycluster() -> None:
    found = documents("raycluster.yaml")
    assert [document["kind"] for document in found] == [
        "PersistentVolumeClaim", "ServiceAccount", "ServiceAccount", "NetworkPolicy",
        "Service", "StatefulSet", "RayCluster",
    ]  # fmt: skip
    for document in found[:-1]:
        kubernetes_checked(document)
    assert found[0]["spec"]["accessModes"] == ["ReadWriteMany"]
    ray_cluster_checked(found[-1]["spec"])


def test_the_heads_memory_lies_in_the_redis_of_the_same_file() -> None:
    found = {document["kind"]: document for document in documents("raycluster.yaml")}
    options = found["RayCluster"]["spec"]["gcsFaultToleranceOptions"]
    service, redis = found["Service"], found["StatefulSet"]["spec"]
    (port,) = service["spec"]["ports"]
    assert options["redisAddress"] == f"{service['metadata']['name']}:{port['port']}"
    assert service["spec"]["selector"] == redis["template"]["metadata"]["labels"]
    (container,) = redis["template"]["spec"]["containers"]
    assert "--appendonly yes" in " ".join(container["args"])  # it outlives its own pod
    (secret,) = [e["valueFrom"]["secretKeyRef"] for e in container["env"]]
    assert options["redisPassword"]["valueFrom"]["secretKeyRef"] == secret


def test_rayjob() -> None:
    (found,) = documents("rayjob.yaml")
    assert found["kind"] == "RayJob"
    kuberay_checked(found["spec"], "RayJobSpec")
    yaml.safe_load(found["spec"]["runtimeEnvYAML"])
    assert (
        found["spec"]["backoffLimit"] == 0
    )  # the entry point itself tells what is worth another try
    ray_cluster_checked(found["spec"]["rayClusterSpec"])


@pytest.mark.parametrize(
    ("codes", "ends", "tried"), [([0], 0, 1), ([2], 2, 1), ([1], 1, 1), ([75, 75, 0], 0, 3)]
)
def test_a_rayjob_tries_again_what_another_try_can_pass(
    codes: list[int], ends: int, tried: int, tmp_path: Path
) -> None:
    """Its own entry point with programs that end as they are told; a mistake is not paid for twice."""
    (found,) = documents("rayjob.yaml")
    entry = found["spec"]["entrypoint"].replace("/shared/checkout", str(tmp_path))
    (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
    programs = {
        "repo-pipeline": "[ $1 = use ] && exit\necho run >> log\n"
        "code=$(head -1 codes)\nsed -i 1d codes\nexit $code",
        "dvc": 'echo "$*" >> log',
        "sleep": "true",
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", entry], env={"PATH": path}, check=False)
    assert done.returncode == ends
    assert (tmp_path / "log").read_text().splitlines() == [*["run"] * tried, "push"]


def test_a_wrong_pod_is_found() -> None:
    """The check above can fail."""
    spec = documents("raycluster.yaml")[-1]["spec"]
    spec["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(Exception, match="volumeMount"):
        ray_cluster_checked(spec)


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        ((), "autoscaling", True),
        (("authOptions",), "mode", "tokens"),
        (("headGroupSpec", "rayStartParams"), "num-cpus", 0),
        (("workerGroupSpecs", 0), "minReplica", 0),
        (("gcsFaultToleranceOptions",), "redisPasword", {"value": "x"}),
    ],
)
def test_a_wrong_field_of_kuberays_is_found(place: tuple[Any, ...], name: str, value: Any) -> None:
    import jsonschema

    inner = spec = documents("raycluster.yaml")[-1]["spec"]
    kuberay_checked(spec, "RayClusterSpec")
    for step in place:
        inner = inner[step]
    inner[name] = value
    with pytest.raises(jsonschema.ValidationError):
        kuberay_checked(spec, "RayClusterSpec")


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_dockerfile(kind: str, project_root: Path) -> None:
    from dockerfile_parse import DockerfileParser

    parser = DockerfileParser(fileobj=open(INFRA / "docker" / f"Dockerfile.{kind}", "rb"))  # noqa: SIM115
    steps = [(step["instruction"], step["value"]) for step in parser.structure]
    known = {"COMMENT", "FROM", "ARG", "RUN", "COPY", "WORKDIR", "ENV", "USER", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in steps} <= known
    assert parser.baseimage.startswith("python:3.11")  # the argument's default, or a digest of it
    users = [value for name, value in steps if name == "USER"]
    assert users[-1] == "repo"
    for name, value in steps:
        if name == "COPY":
            for source in value.split()[:-1]:
                assert (project_root / source).exists(), source
        if name == "RUN":
            subprocess.run(["bash", "-n", "-c", value], check=True)
        if name in ("ENTRYPOINT", "CMD"):
            assert isinstance(json.loads(value), list)
    (install,) = [value for name, value in steps if name == "RUN" and "pip install" in value]
    assert f"--require-hashes -r requirements-{kind}.lock" in install
    assert ("TORCH_INDEX" in install) is (kind == "cpu")


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_a_lock_holds_the_pins_of_constraints_and_their_hashes(
    kind: str, project_root: Path
) -> None:
    """A changed pin without `infra/docker/lock.sh` fails here, not in an image half an hour later."""
    pin = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\\n]+)", re.MULTILINE)

    def pins(file: Path) -> dict[str, str]:
        found = pin.findall(file.read_text())
        return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}

    text = (INFRA / "docker" / f"requirements-{kind}.lock").read_text()
    locked = pins(INFRA / "docker" / f"requirements-{kind}.lock")
    wanted = pins(project_root / "constraints.txt")
    both = locked.keys() & wanted.keys()
    assert {"ray", "transformers", "dvc", "prefect", "datasets", "deepspeed"} <= both
    assert {name: locked[name] for name in both} == {name: wanted[name] for name in both}
    gpu = {name for name in locked if name.startswith("nvidia-")} | {"torch", "triton"}
    assert gpu <= locked.keys() if kind == "cuda" else not gpu & locked.keys()
    assert len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)) == len(locked)
    assert text.count("--hash=sha256:") >= len(locked)
    assert "://" not in text  # no registry's address


@pytest.mark.parametrize("program", ["skopeo", "docker", "podman"])
@pytest.mark.parametrize(("digest", "code"), [("sha256:" + "0a" * 32, 0), ("denied", 1)])
def test_the_base_image_by_its_digest(
    program: str, digest: str, code: int, tmp_path: Path, project_root: Path
) -> None:
    (tmp_path / program).write_text(f'#!/bin/sh\n[ "$1" = pull ] || echo {digest}\n')
    (tmp_path / program).chmod(0o755)
    for tool in ("sed", "dirname", "sh"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    words = [str(tmp_path / "sh"), "infra/docker/pin.sh"]
    done = subprocess.run(
        words, cwd=project_root, env={"PATH": str(tmp_path)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert done.stdout == ("" if code else f"python:3.11-slim-bookworm@{digest}\n")


def test_both_images_install_the_same_but_the_gpu_s_kernels(project_root: Path) -> None:
    import tomllib

    project = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]
    wanted = {}
    for kind in ("cpu", "cuda"):
        text = (INFRA / "docker" / f"Dockerfile.{kind}").read_text()
        found = re.search(r'"\.\[([a-z0-9,]+)\]"', text).group(1)  # type: ignore[union-attr]
        wanted[kind] = set(found.split(","))
    assert wanted["cuda"] - wanted["cpu"] == {"gpu"}
    assert wanted["cpu"] <= wanted["cuda"] <= set(project["optional-dependencies"])


@pytest.mark.parametrize("name", ["s3", "gcs", "ssh", "shared"])
def test_dvc_reads_the_remote(name: str, tmp_path: Path, project_root: Path) -> None:
    """After the command at the file's top, in this project's own settings."""
    from dvc.repo import Repo

    from pipeline.remote.remotes import described

    Repo.init(str(tmp_path), no_scm=True).close()
    shipped = (project_root / ".dvc" / "config").read_text()
    text = (INFRA / "dvc" / f"{name}.config").read_text()
    command = "dvc config core.remote store"
    assert f"cat infra/dvc/{name}.config >> .dvc/config && {command}`" in text
    (tmp_path / ".dvc" / "config").write_text(shipped + text)
    (tmp_path / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    dvc = [sys.executable, "-m", *command.split()]
    subprocess.run(dvc, cwd=tmp_path, check=True, capture_output=True)
    found = described(tmp_path)
    assert found["name"] == "store"
    assert set(found["options"]) >= {"url"}


@pytest.mark.parametrize("file", sorted((INFRA / "clusters").glob("*.yaml")), ids=lambda f: f.stem)
def test_a_cluster_file_plans(file: Path, tmp_path: Path) -> None:
    described = cluster_file.read(file)
    assert machine(described).gpus == described.gpus
    params = tmp_path / "params.yaml"
    params.write_text(profiles()["olmo2-1b"])
    found = estimate(load(params), {"train@repo-42": Decision("run", "")}, described)
    assert found.rows[0].fits and found.totals()["cost"] > 100


def test_every_target_has_a_one_page_runbook(project_root: Path) -> None:
    books = sorted((project_root / "docs" / "clusters").glob("*.md"))
    assert [book.stem for book in books] == ["aws", "gcp", "kubernetes", "own-machines", "slurm"]
    for book in books:
        text = book.read_text()
        assert len(text.splitlines()) <= 60 and "Not tried" in text
        for named in re.findall(r"(?:infra|docs)/[\w./-]+\w", text):
            assert (project_root / named).exists(), f"{book.name}: {named}"


def test_what_the_two_nodes_tell_a_laptop_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their dashboard is at a bridge's address: the rule for tokens in clear once refused it."""
    from infra.local.two_nodes import Network, TwoNodes
    from pipeline.remote.api import Jobs

    made = TwoNodes.__new__(TwoNodes)
    made.secret, made.token_file = "s3", tmp_path / "token"
    made.token_file.write_text("0" * 64)
    made.token_file.chmod(0o600)
    made.network, made._dashboard_port = Network(0, namespaces=False), 8265
    made.network.addresses = ["10.1.2.3"]
    for name, value in made.laptop().items():
        monkeypatch.setenv(name, value)
    assert "authorization" in Jobs(made.address).headers
