"""Every file under infra/, checked by the tool or the schema that reads it."""

import copy
import json
import os
import re
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
        *("aws", "gcp", "kubernetes", "docker", "dvc", "prefect", "clusters", "local", "slurm"),
    }


def test_bash_and_slurm_s_options_are_read(tmp_path: Path) -> None:
    """Without Slurm: the shell's grammar, and the options that the text around it promises."""
    script = INFRA / "slurm" / "repo-pipeline.sbatch"
    subprocess.run(["bash", "-n", str(script)], check=True)
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
    spot = json.dumps(prepared["available_node_types"]["gpu"]["node_config"]).lower()
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
    for group in groups:
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
        "PersistentVolumeClaim", "ServiceAccount", "NetworkPolicy", "RayCluster",
    ]  # fmt: skip
    for document in found[:3]:
        kubernetes_checked(document)
    assert found[0]["spec"]["accessModes"] == ["ReadWriteMany"]
    ray_cluster_checked(found[3]["spec"])


def test_rayjob() -> None:
    (found,) = documents("rayjob.yaml")
    assert found["kind"] == "RayJob"
    kuberay_checked(found["spec"], "RayJobSpec")
    yaml.safe_load(found["spec"]["runtimeEnvYAML"])
    ray_cluster_checked(found["spec"]["rayClusterSpec"])


def test_a_wrong_pod_is_found() -> None:
    """The check above can fail."""
    spec = documents("raycluster.yaml")[3]["spec"]
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
    ],
)
def test_a_wrong_field_of_kuberays_is_found(place: tuple[Any, ...], name: str, value: Any) -> None:
    import jsonschema

    inner = spec = documents("raycluster.yaml")[3]["spec"]
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
    assert parser.baseimage.startswith("python:3.11")
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
    installs = [value for name, value in steps if name == "RUN" and "pip install" in value]
    assert all("-c constraints.txt" in value for value in installs)
    assert ("TORCH_INDEX" in installs[0]) is (kind == "cpu")


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


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_prefect_work_pool(kind: str) -> None:
    import prefect
    from prefect.server.schemas.actions import WorkPoolCreate

    template = json.loads((INFRA / "prefect" / f"{kind}.json").read_text())
    WorkPoolCreate(name=f"repo-{kind}", type=kind, base_job_template=template)
    views = Path(prefect.__file__).parent / "server" / "api" / "collections_data" / "views"
    file = views / "aggregate-worker-metadata.json"
    shipped = json.loads(file.read_text())[f"prefect-{kind}"][kind][
        "default_base_job_configuration"
    ]
    properties = template["variables"]["properties"]
    assert set(properties) == set(shipped["variables"]["properties"])
    assert set(template["job_configuration"]) == set(shipped["job_configuration"])
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used <= set(properties)
    environment = properties["env"]["default"]
    assert environment["RAY_API_SERVER_ADDRESS"] and "RAY_AUTH_TOKEN" not in environment
    if kind == "kubernetes":
        text = json.dumps(template["job_configuration"]["job_manifest"])
        filled = {
            "env": [], "labels": {}, "namespace": "x", "name": "x", "finished_job_ttl": 1,
            "image": "i", "image_pull_policy": "Always", "command": ["x"], "cpu_limit": "1",
            "memory_limit": "1Gi", "cpu_request": "1", "memory_request": "1Gi",
            "service_account_name": "s",
        }  # fmt: skip
        for name, value in filled.items():
            text = text.replace(f'"{{{{ {name} }}}}"', json.dumps(value))
        kubernetes_checked(json.loads(text.replace("{{ name }}", "x")))


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
