"""Memory: estimates beside measured peaks, a real out-of-memory, and what would fit."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.errors import InputError, StepFailed
from veneer.student.memory import (
    SPARE,
    TOKENS_IN_PASS,
    Load,
    Shape,
    alternatives,
    explained,
    fits,
    needed,
    out_of_memory,
    rows_that_fit,
    shape_at,
    shape_of,
)
from veneer.student.resources import Pace, available, used

LLAMA_7B = Shape(6_738_415_616, 6_738_415_616, 4096, 11008, 32, 32, 32_000)
# kind, (width, inner, layers, heads, vocabulary), block, rows
RUNS = {
    "activations": [["llama", 128, 352, 2, 4, 300], 128, 6, {}],
    "scores": [["gpt2", 64, 128, 2, 8, 300], 256, 3, {"attention": "eager"}],
    "half the bytes": [["gpt2", 128, 512, 2, 4, 300], 128, 10, {"precision": "bf16"}],
    "recomputed": [["llama", 128, 352, 6, 4, 300], 128, 8, {"checkpointing": True}],
    "weights": [["llama", 256, 704, 2, 4, 300], 32, 1, {}],
    "logits": [["llama", 32, 64, 1, 2, 9000], 64, 6, {}],
}
SPENT = [["llama", 64, 176, 2, 4, 300], 128, 64, 60_000_000]


@pytest.fixture(scope="module")
def peaks():
    """What the script measured: a list by run, and what was said of the run that ended."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("the peak of a process cannot be set back here")
    script = Path(__file__).with_name("peaks.py")
    # Freed memory goes back at once, so that the peak is that of what is in use.
    keep = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    words = [sys.executable, str(script), json.dumps([list(RUNS.values()), SPENT])]
    environment = {**os.environ, **keep, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("run", RUNS)
def test_the_estimate_is_near_the_measured_peak(peaks, run):
    estimated, measured = peaks[0][list(RUNS).index(run)]
    assert measured > 8e6, "too small to tell"
    assert 0.75 <= measured / estimated <= 1.25, (estimated, measured)


def test_a_run_that_is_out_of_memory_says_which_rows_would_fit_and_these_do(peaks):
    told = peaks[1]
    assert told["known"] is True, told
    assert "can't allocate memory" in told["raw"]
    assert "Out of memory with 64 blocks of 128 tokens a pass" in told["said"]
    rows = int(re.search(r"--rows-in-pass (\d+)", told["said"])[1])
    assert 1 <= rows < 64  # the script went on with them


# ---- the arithmetic ---------------------------------------------------------------------------


def test_a_7b_llama_in_numbers_known_from_elsewhere():
    whole = needed(Load(LLAMA_7B, 2048, 32), 1)
    assert whole.weights == whole.gradients == 4 * 6_738_415_616
    assert whole.optimiser == 8 * 6_738_415_616
    assert whole.logits == 2048 * 32_000 * 16
    eight = needed(Load(LLAMA_7B, 2048, 4, world=8), 1)
    assert eight.optimiser == whole.optimiser // 8
    assert whole.weights // 8 < eight.weights < whole.weights // 4
    # QLoRA (Dettmers et al. 2023): a 7B base in 4 bits takes some 3.5 GB.
    added = 40_000_000
    adapted = replace(LLAMA_7B, parameters=6_738_415_616 + added, trained=added, frozen_bytes=0.5)
    small = needed(Load(adapted, 2048, 32), 1)
    assert 3.3e9 < small.weights < 3.7e9
    assert small.gradients + small.optimiser == 12 * added


def test_eager_attention_keeps_scores_that_grow_with_the_square_of_the_block():
    def scores(block):
        eager = needed(Load(LLAMA_7B, block, 1, attention="eager"), 1)
        return eager.activations - needed(Load(LLAMA_7B, block, 1), 1).activations

    # 4 bytes in each of 32 layers, and two copies in the layer that is on its way back.
    assert scores(1024) == 32 * (32 * 4 + 8) * 1024**2
    assert scores(2048) == 4 * scores(1024)


loads = st.builds(
    Load,
    st.builds(
        Shape,
        st.integers(1_000, 10**8),
        st.integers(1_000, 10**8),
        st.sampled_from([16, 128, 1024]),
        st.sampled_from([32, 352]),
        st.integers(1, 8),
        st.integers(1, 8),
        st.integers(100, 50_000),
    ),
    st.sampled_from([8, 64, 2048]),
    st.integers(1, 48),
    st.sampled_from(["fp32", "bf16"]),
    st.sampled_from(["eager", "sdpa"]),
    st.booleans(),
)


@settings(deadline=None)
@given(loads, st.integers(0, 10**11), st.integers(0, 10**8))
def test_rows_are_the_most_that_fit_and_divide_the_batch(load, there, held):
    allowed = [
        rows
        for rows in range(1, load.batch + 1)
        if load.batch % rows == 0
        and (rows == 1 or rows * load.block <= TOKENS_IN_PASS)
        and needed(load, rows).total <= SPARE["cpu"] * (there + held)
    ]
    if allowed:
        assert rows_that_fit(load, there, held) == max(allowed)
        return
    with pytest.raises(InputError) as caught:
        rows_that_fit(load, there, held)
    for block in re.findall(r"recipe.block: (\d+)", str(caught.value)):
        smaller = replace(load, block=int(block))
        assert rows_that_fit(smaller, there, held) >= 1
        assert int(block) < load.block


def test_what_would_fit_does_and_is_said_with_its_option():
    gpu = Load(LLAMA_7B, 2048, 32, precision="bf16", device="cuda")
    with pytest.raises(InputError) as caught:
        rows_that_fit(gpu, there=80 * 10**9)
    said = str(caught.value)
    assert "one block of 2,048 tokens needs 1" in said
    assert "80 GB are there" in said
    assert "recipe.method: lora" in said
    devices = int(re.search(r"--devices (\d+)", said)[1])
    assert fits(replace(gpu, world=devices), 1, 80 * 10**9)
    assert not fits(replace(gpu, world=devices // 2), 1, 80 * 10**9)
    here = Load(LLAMA_7B, 2048, 32)
    assert not [way for way in alternatives(here, 80 * 10**9) if "devices" in way], (
        "processes of one machine share its memory"
    )
    with pytest.raises(InputError, match="take a smaller base"):
        rows_that_fit(here, there=10**9)


def test_the_shape_of_a_base_is_known_before_its_weights_are_loaded(base):
    from transformers import AutoModelForCausalLM

    whole = shape_of(AutoModelForCausalLM.from_pretrained(base))
    (base / "model.safetensors").rename(base / "aside")
    try:
        assert shape_at(base) == whole
    finally:
        (base / "aside").rename(base / "model.safetensors")


def test_the_shape_of_a_model():
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    whole = sum(p.numel() for p in model.parameters())
    assert shape_of(model) == Shape(whole, whole, 16, 24, 2, 2, 50)
    model.requires_grad_(False)
    quantised = torch.nn.Parameter(torch.zeros(100, dtype=torch.uint8), requires_grad=False)
    model.lm_head.register_parameter("packed", quantised)
    shape = shape_of(model)
    assert (shape.parameters, shape.trained) == (whole + 200, 0)
    assert shape.frozen_bytes == (4 * whole + 100) / (whole + 200)


# ---- errors -----------------------------------------------------------------------------------


def test_errors_that_say_out_of_memory_are_known_and_others_are_not():
    def numpy_error():
        try:
            np.empty(1 << 60, np.uint8)
        except MemoryError as error:
            return error

    assert out_of_memory(MemoryError())
    assert out_of_memory(numpy_error())
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert out_of_memory(OSError(12, "Cannot allocate memory"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert out_of_memory(caught.value)
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory(ValueError("out of memory"))
    assert not out_of_memory(OSError(28, "No space left on device"))


def test_what_is_said_when_memory_ran_out():
    load = Load(replace(LLAMA_7B, parameters=10**8, trained=10**8), 2048, 32, device="cuda")
    error = torch.OutOfMemoryError("CUDA out of memory.")
    failed = explained(error, load, 8, there=60 * 10**9)
    assert isinstance(failed, StepFailed)
    rows = int(re.search(r"--rows-in-pass (\d+)", failed.hint)[1])
    assert rows < 8
    assert fits(load, rows, 60 * 10**9)
    assert failed.__cause__ is error
    alone = explained(error, load, 1, there=20 * 10**9)
    assert isinstance(alone, InputError)
    assert "recipe.block" in alone.hint


# ---- what is there ----------------------------------------------------------------------------


def test_the_least_of_all_limits_is_available(tmp_path):
    proc, sys_ = tmp_path / "proc", tmp_path / "sys"
    group = sys_ / "fs/cgroup/a/b"
    (proc / "self").mkdir(parents=True)
    group.mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 99999 kB\nMemAvailable: 5000 kB\n")
    assert available("cpu", proc, sys_) == 5000 * 1024
    (proc / "self/cgroup").write_text("0::/a/b\n")
    (group.parent / "memory.max").write_text("3000000\n")
    (group.parent / "memory.current").write_text("2500000\n")
    (group.parent / "memory.stat").write_text("anon 1\ninactive_file 100000\n")
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("1\n")
    (group / "memory.stat").write_text("inactive_file 1\n")
    assert available("cpu", proc, sys_) == 600_000, "v2: the group above has the limit"
    old = sys_ / "fs/cgroup/memory/x"
    old.mkdir(parents=True)
    (proc / "self/cgroup").write_text("4:memory:/x\n9:name=systemd:/\n")
    (old / "memory.limit_in_bytes").write_text("700000\n")
    (old / "memory.usage_in_bytes").write_text("300000\n")
    (old / "memory.stat").write_text("inactive_file 9\ntotal_inactive_file 50000\n")
    assert available("cpu", proc, sys_) == 450_000, "v1"
    (old / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert available("cpu", proc, sys_) == 5000 * 1024, "v1 without a limit"


def test_the_limit_of_the_address_space_counts():
    code = (
        "import resource\n"
        "from veneer.student.resources import available\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + 50_000_000, resource.RLIM_INFINITY))\n"
        "print(available())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 40_000_000 < int(done.stdout) <= 50_000_000, done.stderr
    assert used() > 10_000_000


def test_the_pace_leaves_the_first_step_out():
    clock = iter([100.0, 102.0, 104.0])  # the first step took however long it took
    pace = Pace(tokens=12_000_000, done=0, clock=lambda: next(clock))
    assert pace.note(2.314) == "loss 2.31"
    pace.step(24_800)
    assert (pace.per_second, pace.seconds_left) == (None, None)
    pace.step(24_800)
    assert pace.per_second == 12_400
    pace.step(24_800)
    assert pace.per_second == 12_400
    assert pace.seconds_left == (12_000_000 - 74_400) / 12_400
    assert pace.note(2.314, 1_240_000_000) == "loss 2.31 · 12,400 tokens/s · 16 min left · 1.2 GB"


@pytest.mark.parametrize(
    ("done", "said"),
    [(0, "10 tokens/s · 2 h 47 min left"), (99_980, "10 tokens/s · 0 s left"), (99_000, "98 s")],
)
def test_time_left_in_words(done, said):
    clock = iter([0.0, 1.0])
    pace = Pace(100_000, done, clock=lambda: next(clock))
    pace.step(10)
    pace.step(10)
    if said == "98 s":
        assert pace.note(1.0).endswith("2 min left")
    else:
        assert pace.note(1.0).endswith(said)
