"""The decode pool: a file that harms its process affects no other file, whatever is in it."""

import multiprocessing
import os
import random
import signal
import struct
import subprocess
import sys
from itertools import cycle
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data import decode_pool
from data.decode import Inspection, decode
from data.decode_pool import decode_in_order, num_cpus, start_workers
from data.images import UnusableImage
from tests.data.pictures import AVIF, FILM, ODD_FILES, SHARED, encoded, make_folder, scene

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def paths(tmp_path):
    return [str(path) for path in sorted(make_folder(tmp_path, {"dog": 6}).rglob("*.jpg"))]


TRAP = """
import os, time
open_ = os.open
def trap(path, *args, **more):
    if str(path).endswith("crash.jpg"): os.abort()
    if str(path).endswith("hang.jpg"): time.sleep(600)
    return open_(path, *args, **more)
os.open = trap
"""


@pytest.mark.slow
def test_what_harms_a_worker_affects_one_file_and_a_broken_python_none(
    paths, monkeypatch, tmp_path
):
    """No known file makes Pillow crash or hang, so a trap in `os.open` does."""
    resource_tracker.ensure_running()  # a helper process of Python, which must not run the trap
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(decode_pool, "SECONDS_PER_FILE", 1.0)
    at_start = tmp_path / "sitecustomize.py"  # which workers run when they start
    at_start.write_text(TRAP)
    paths[0:0], paths[4:4] = ["crash.jpg"], ["hang.jpg"]
    results = dict(zip(paths, decode_in_order(paths, [16]), strict=True))
    found = {path: str(r) for path, r in results.items() if isinstance(r, UnusableImage)}
    reason = "crashes the decoder, or takes over 1 s"
    assert found == {"crash.jpg": reason, "hang.jpg": reason}
    at_start.write_text("import os; os._exit(3)")
    with pytest.raises(RuntimeError, match="do not start"):
        list(decode_in_order(paths, [16]))


def test_results_come_in_order_and_few_at_a_time(paths):
    taken = []

    def endless():
        for path in cycle(paths):
            taken.append(path)
            yield path

    for number, result in enumerate(decode_in_order(endless(), [16], window=5)):
        assert (result.pixels[0] == decode(taken[number], 16)).all()
        assert len(taken) <= number + 5
        if number == 30:  # a consumer that stops early leaves no process
            break
    assert multiprocessing.active_children() == []


DECODE = """
import sys
from data.decode_pool import decode_in_order
for _ in decode_in_order([sys.argv[1]] * 100_000, [64], num_workers=2):
    print("one", flush=True)
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(paths, signum):
    command = [sys.executable, "-c", DECODE, paths[0]]
    pipe = subprocess.PIPE
    run = subprocess.Popen(command, cwd=ROOT, process_group=0, stdout=pipe, stderr=pipe, text=True)
    for _ in range(100):  # so many that both workers have started
        run.stdout.readline()
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    assert len(children) >= 2
    os.killpg(run.pid, signum) if signum == signal.SIGINT else run.kill()
    _, stderr = run.communicate(timeout=60)  # waits for all processes that hold the pipe
    assert stderr.count("Traceback") <= 1  # the workers print none


def test_workers_ignore_ctrl_c_from_their_start_on():
    with start_workers(1) as pool:
        assert signal.SIGINT in pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()


def test_workers_do_not_import_torch():
    """It would take seconds and memory in each of them."""
    code = "import sys, data.decode_pool; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "False\n"


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000\n", 8), ("150000 100000\n", 2), ("40000 100000\n", 1), (None, 8)],
)
def test_num_cpus_is_the_smaller_of_affinity_and_quota(quota, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8))
    if quota:
        (tmp_path / "cpu.max").write_text(quota)
    assert num_cpus(tmp_path / "cpu.max") == expected


def originals():
    """Return a small file of every format, and of variants that a decoder treats differently."""
    image = scene(1, 60, 44)
    files = [content for _, content in ODD_FILES.values()]
    files += [encoded(image, kind, **FILM) for kind in ("MPO", "PNG", "GIF")]
    compressions = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    files += [encoded(image, "TIFF", compression=compression) for compression in compressions]
    files += [encoded(image.convert("I;16"), kind) for kind in ("TIFF", "PPM")]
    files += [encoded(image, kind) for kind in ("BMP", "PPM", *AVIF)]
    files += [encoded(image.convert("1"), "TIFF", compression="group4")]
    files.append(encoded(image.convert("RGBA"), "WEBP", lossless=True))
    bad_images = sorted((SHARED / "bad_images").glob("*"))
    return files + [path.read_bytes() for path in bad_images if 0 < path.stat().st_size < 50_000]


def mutant(content, draw):
    """Return the content with a few errors, such as those of disks and networks."""
    damaged = bytearray(content)
    for _ in range(draw.randint(1, 2)):
        at = draw.randrange(max(1, draw.choice([64, len(damaged), len(damaged)])))
        extreme = draw.choice([0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1])
        number = struct.pack(draw.choice("<>") + "I", extreme)
        longer, shorter = draw.randbytes(draw.randint(0, 40)), at + draw.randint(1, 30)
        errors = [(at + 1, draw.randbytes(1)), (at + 4, number), (at + 20, longer), (shorter, b"")]
        end, new = draw.choice([*errors, (len(damaged), b"")])
        damaged[at:end] = new
    return bytes(damaged)


@pytest.mark.slow
def test_a_thousand_mutants(tmp_path, monkeypatch):
    """In workers, which end with an error if a file takes more than 1 GB or 5 s."""
    monkeypatch.setattr(decode_pool, "SECONDS_PER_FILE", 5.0)
    draw, files = random.Random(20240607), originals()
    for number in range(1_200):
        (tmp_path / str(number)).write_bytes(mutant(files[number % len(files)], draw))
    results = list(decode_in_order((str(tmp_path / str(n)) for n in range(1_200)), [32]))
    pixels = [result.pixels[0] for result in results if isinstance(result, Inspection)]
    reasons = [str(result) for result in results if not isinstance(result, Inspection)]
    assert min(len(pixels), len(reasons)) > 1_200 / 10
    assert {(p.shape, p.dtype) for p in pixels} == {((32, 32, 3), np.dtype(np.uint8))}
    assert all(reasons) and not any("crash" in r for r in reasons)


@pytest.mark.slow
def test_a_photograph_of_200_megapixels_fits_into_the_memory_of_a_worker(tmp_path):
    Image.new("RGB", (16384, 12288), "red").save(tmp_path / "large.jpg")
    (found,) = decode_in_order([str(tmp_path / "large.jpg")], [32])
    assert (found.facts.width, found.facts.height) == (16384, 12288)
    assert np.allclose(found.pixels[0], [255, 0, 0], atol=3)
