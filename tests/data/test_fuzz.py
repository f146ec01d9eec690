"""Thousands of damaged pictures: each is decoded or refused, soon and in little memory."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data.decode import Inspection, UnusableImage, decode
from data.decode_pool import Job, decode_in_order
from tests.data.fuzz import mutant, outcome, seeds

ROOT = Path(__file__).resolve().parents[2]
NUM_MUTANTS = 8_000


@pytest.mark.slow
def test_thousands_of_mutants():
    """In a process of their own, whose memory nothing else has used."""
    command = [sys.executable, "-W", "error", "-m", "tests.data.fuzz", str(NUM_MUTANTS), "20240607"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr  # libtiff's own remarks are C, and not ours to catch
    result = json.loads(done.stdout)
    assert result["decoded"] + result["refused"] == NUM_MUTANTS
    assert min(result["decoded"], result["refused"]) > NUM_MUTANTS / 10  # neither way is trivial
    assert result["slowest_s"] < 5
    assert result["peak_bytes"] < 2**30


STARTS = [b"", *(content[:40] for content in seeds())]


@settings(max_examples=500, deadline=None)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=400))
def test_rubbish_after_a_good_start(start, rest):
    assert outcome(start + rest) in ("decoded", "refused")


@pytest.mark.slow
def test_workers_survive_mutants(tmp_path):
    draw = random.Random(7)
    originals = list(seeds())
    jobs = []
    for number in range(300):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(mutant(originals[number % len(originals)], draw))
        jobs.append(Job(str(path), (32,)))
    results = list(decode_in_order(jobs))
    assert len(results) == 300
    for index, result in enumerate(results):
        if isinstance(result, UnusableImage):
            assert "crash" not in str(result)
        else:
            np.testing.assert_array_equal(result.pixels[0], decode(jobs[index].path, 32))


LARGE: dict[str, tuple[str, int, dict[str, Any]]] = {
    "transparent.png": ("RGBA", 6200, {"compress_level": 1}),
    "grey.png": ("I;16", 6200, {"compress_level": 1}),
    "colour.webp": ("RGB", 7400, {"method": 0}),
    "palette.gif": ("P", 9100, {}),
    "progressive.jpg": ("RGB", 10200, {"progressive": True, "subsampling": 0}),
    "strip.tif": ("RGB", 7400, {"compression": "tiff_lzw"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_what_just_passes_the_limits_fits_into_1_gb(tmp_path, name):
    mode, side, options = LARGE[name]
    Image.new(mode, (side, side)).save(tmp_path / name, **options)
    (result,) = decode_in_order([Job(str(tmp_path / name), (32,))])  # of 1 GB each
    assert isinstance(result, Inspection), result
