"""What watches a run: spikes, positions, hangs, attempts, counted work."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import repo_model
from stages.common.errors import UserError
from stages.training import flops, health, notices
from stages.training.attempts import LIMIT, Attempts
from stages.training.spikes import ENOUGH, Spikes
from stages.training.watchdog import BUSY, Watchdog
from tests.stages.training.small import model


def counted(losses: list[float], phase: int = 0, start: Spikes | None = None) -> Spikes:
    spikes = start or Spikes()
    for loss in losses:
        spikes = spikes.after(loss, phase, skipped=False)
    return spikes


def test_a_spike_stands_far_above_the_steps_before_it() -> None:
    usual = [3.0 + 0.1 * math.sin(i) for i in range(ENOUGH)]
    before = counted(usual)
    assert (before.total, before.in_a_row) == (0, 0)
    assert counted([3.1], start=before).total == 0
    two = counted([9.0, math.nan], start=before)
    assert (two.total, two.in_a_row) == (2, 2)
    assert two.recent == before.recent  # a spike does not make the next one usual
    assert counted([3.0], start=two).in_a_row == 0
    assert counted([*usual[1:], 9.0]).total == 0  # too early to tell
    assert before.after(3.0, 0, skipped=True).in_a_row == 1


def test_another_length_is_no_spike() -> None:
    before = counted([3.0] * ENOUGH)
    assert counted([5.0], phase=1, start=before).total == 0
    assert counted([5.0], phase=0, start=before).total == 1


FINE = {"1.range": 4.0, "1.gradient": 0.1, "1.collapsed": 0.5}


def watched(steps: int = 1000, grad_clip: float = 1.0) -> health.Alarms:
    """Alarms that saw five good looks."""
    alarms = health.Alarms(steps, grad_clip, {})
    for step in range(200, 205):
        assert alarms.of_look(step, 256, FINE) == []
    return alarms


def test_collapsed_positions_ring_once_when_they_stay_so() -> None:
    alarms, bad = watched(), {**FINE, "1.collapsed": 1.0}
    looks = [bad, bad, FINE, bad, bad, bad, bad]
    said = [alarms.of_look(300 + i, 256, look) for i, look in enumerate(looks)]
    assert [len(lines) for lines in said] == [0, 0, 0, 0, 0, 1, 0]
    assert "layer 1: the positions of all heads have collapsed" in said[5][0]
    assert alarms.ringing == 1
    assert alarms.of_look(310, 256, FINE) == []
    assert alarms.ringing == 0


def test_positions_that_never_leave_their_start_are_an_alarm_after_a_third() -> None:
    bad = {**FINE, "1.collapsed": 1.0}
    for steps, first in ((1000, 334), (60, 30), (24, None)):
        alarms = health.Alarms(steps, 1.0, {})
        said = {step: alarms.of_look(step, 256, bad) for step in range(steps)}
        assert [step for step, lines in said.items() if lines] == ([first] if first else [])
    assert "layer 1: the positions of no head have left their start" in said_at(bad, 500)


def test_positions_that_leave_slowly_are_no_alarm() -> None:
    # As seen: a model of 347 K parameters, a look every 8 of 400 steps.
    alarms = health.Alarms(400, 1.0, {})
    shares = [1.0] * 8 + [0.75, 1.0, 0.75] + [1.0] * 8 + [0.75] * 4 + [0.25, 0.75] * 4 + [0.0] * 15
    looks = [{**FINE, "1.collapsed": share} for share in shares]
    assert [alarms.of_look(8 * (i + 1), 256, look) for i, look in enumerate(looks)] == [[]] * 46


def said_at(look: health.Look, step: int) -> str:
    """What the third of three such looks says."""
    alarms = health.Alarms(1000, 1.0, {})
    return "".join("".join(alarms.of_look(step + i, 256, look)) for i in range(3))


def test_unstable_is_what_explodes_beyond_what_a_well_run_has() -> None:
    alarms = watched()
    said = alarms.of_look(300, 256, {**FINE, "1.range": 300.0, "1.gradient": 5.0})
    assert said == [
        "alarm: layer 1: unstable, range is 300, usually 4",
        "alarm: layer 1: unstable, gradient is 5, usually 0.1",
    ]
    assert alarms.of_look(301, 256, {**FINE, "1.range": 300.0, "1.gradient": math.nan}) == []
    assert alarms.of_look(302, 256, FINE) == []
    assert "gradient is nan" in alarms.of_look(303, 256, {**FINE, "1.gradient": math.nan})[0]
    # Long but usual, and much more than usual but short: neither is an alarm.
    assert watched().of_look(300, 16, {**FINE, "1.range": 60.0}) == []
    assert watched().of_look(300, 256, {**FINE, "1.range": 200.0, "1.gradient": 0.9}) == []


def test_positions_that_grow_from_noise_are_no_alarm() -> None:
    alarms = health.Alarms(1000, 1.0, {})
    for step in range(200, 260):  # range 1e-6 to 150, gradient 1e-7 to 0.5
        grown = 1.37 ** (step - 200)
        look = {"1.range": 1e-6 * grown, "1.gradient": 1e-7 * grown / 20, "1.collapsed": 0.0}
        assert alarms.of_look(step, 256, look) == []


def test_a_curve_above_the_rope_run_s_is_an_alarm() -> None:
    rope = dict.fromkeys(range(1000), 2.0)
    alarms = health.Alarms(1000, 1.0, rope)

    def curve(loss: float, first: int = 500) -> list[dict[str, float]]:
        return [{"step": float(step), "loss": loss} for step in range(first, first + 10)]

    assert alarms.of_curve(curve(2.01)) == []
    assert alarms.of_curve(curve(2.05, first=150)) == []  # before it has settled
    assert "0.050 nats above the reference run" in alarms.of_curve(curve(2.05))[0]
    assert health.Alarms(1000, 1.0, {}).of_curve(curve(2.05)) == []


def test_positions_of_a_model() -> None:
    net = model()
    ids = torch.randint(0, 64, (1, 32))
    look = health.positions(net, ids)
    assert set(look) == {"1.range", "1.std", "1.collapsed"}
    with torch.no_grad():
        net.model.layers[1].self_attn.final_map.weight.mul_(100.0 / look["1.range"])  # type: ignore[union-attr, index, operator]
    wide = health.positions(net, ids)
    assert wide["1.range"] == pytest.approx(100.0, rel=1e-3)
    assert (look["1.collapsed"], wide["1.collapsed"]) == (1.0, 0.0)


HANG = """
import sys, time
from pathlib import Path
from stages.training.watchdog import Watchdog
doing, folder, rank = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
with Watchdog(0.5, lambda line: print(line, flush=True), folder, rank) as watchdog:
    for _ in range(4):
        watchdog.beat("step 1")
        time.sleep(0.2)
    print("alive", flush=True)
    if doing == "own work":
        with watchdog.own_work("exporting"):
            time.sleep(3)
    elif doing == "waits":
        time.sleep(2)
    else:
        watchdog.beat("step 2")
        time.sleep(60)
    print("done", flush=True)
"""


def hanging(root: Path, folder: Path, doing: str, rank: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HANG, doing, str(folder), str(rank)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=root, stdout=pipe, stderr=pipe, text=True)


def test_the_watchdog_ends_a_process_that_hangs(project_root: Path, tmp_path: Path) -> None:
    (tmp_path / f"{BUSY}00001").write_text("of a rank that was killed")
    hung = hanging(project_root, tmp_path, "step 2", 0)
    out, err = hung.communicate(timeout=60)
    assert hung.returncode == 70
    assert out.splitlines()[0] == "alive"
    assert "hangs: nothing for 0 s at step 2 (REPO_HANG_SECONDS)" in out
    assert "most recent call first" in err


def test_a_ranks_own_work_may_last_and_the_others_may_wait_for_it(
    project_root: Path, tmp_path: Path
) -> None:
    works = hanging(project_root, tmp_path, "own work", 0)
    assert works.stdout is not None
    assert works.stdout.readline() == "alive\n"
    waits = hanging(project_root, tmp_path, "waits", 1)
    told, _ = works.communicate(timeout=60)
    assert (works.returncode, told.splitlines()[-1]) == (0, "done")
    assert "is still exporting, for " in told
    assert not (tmp_path / f"{BUSY}00000").exists()
    assert waits.wait(timeout=60) in (0, 70)  # 70 where it began too late to see the work


def test_others_work_is_seen_by_a_change_not_by_a_clock(tmp_path: Path) -> None:
    ours, other = tmp_path / f"{BUSY}00000", tmp_path / f"{BUSY}00001"
    watchdog = Watchdog(60.0, print, tmp_path, 0)
    look = watchdog._others_work
    ours.write_text("mine does not count")
    assert not look()
    other.write_text("1 5.0")
    assert look()
    assert not look()  # frozen, or killed
    other.write_text("1 6.0")
    assert look()
    other.unlink()
    assert not look()


def test_a_run_that_only_dies_is_ended_and_one_that_gets_on_is_not(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    for step in range(3 * LIMIT):
        done = tmp_path / "checkpoints" / f"step-{step:08d}"
        done.mkdir(parents=True)
        (done / "COMPLETE").touch()
        attempts.begin(tmp_path / "checkpoints")
    for _ in range(LIMIT - 1):
        attempts.begin(tmp_path / "checkpoints")
    with pytest.raises(UserError, match=f"died {LIMIT} times from step-00000011 on"):
        attempts.begin(tmp_path / "checkpoints")
    attempts.forget()
    attempts.begin(tmp_path / "checkpoints")
    assert "a worker died" in (tmp_path / notices.FILE).read_text()


def test_the_work_of_olmo2_1b_is_as_counted_by_hand() -> None:
    config = repo_model.RepoOlmo2Config(
        positions=repo_model.layer_types("repo", 16, start_layer=5),
        vocab_size=100352,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=16,
        num_key_value_heads=16,
    )
    with torch.device("meta"):
        net = repo_model.RepoOlmo2ForCausalLM(config)
    work = flops.work_per_token(net, 4096)
    # PERFORMANCE.md: dense 7.676 G, attention 0.805 G causal, RePo's maps 0.0695 G.
    assert work.dense == pytest.approx(7.676e9 + 0.0695e9, rel=1e-3)
    assert work.attention == pytest.approx(0.805e9, rel=1e-3)
    assert work.full - work.causal == pytest.approx(0.805e9, rel=1e-3)


def test_notices_are_shown_whole_and_once(tmp_path: Path) -> None:
    notices.say(tmp_path, "before")
    shown = notices.Notices(tmp_path)
    notices.say(tmp_path, "one\nline")
    with open(tmp_path / notices.FILE, "a") as file:
        file.write("not yet whol")
    assert shown.new() == ["one line"]
    assert shown.new() == []
