"""CIFAR, read from small archives in its own format that the tests make."""

import io
import pickle
import socket
import tarfile
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest

from data import DataError, cifar
from data.cifar import load_cifar

torchvision_datasets = pytest.importorskip("torchvision.datasets")
# torchvision unpacks without naming a filter, of which Python 3.12 and 3.13 complain.
pytestmark = pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning")

DOG, FOX, WOLF = 5, 34, 97  # where CIFAR has them


def batch(labels, key, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    return pickle.dumps({"data": pixels, key: labels}, protocol=2)


def pack(files, folder, path):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def publish(monkeypatch, dataset, root, train, test, meta):
    """Write an archive and tell torchvision its checksums, as if it were the published one."""
    root.mkdir(exist_ok=True)
    pack({**train, **test, **meta}, dataset.base_folder, root / dataset.filename)
    monkeypatch.setattr(dataset, "tgz_md5", md5((root / dataset.filename).read_bytes()).hexdigest())
    for attribute, files in (("train_list", train), ("test_list", test)):
        checksums = [[name, md5(content).hexdigest()] for name, content in files.items()]
        monkeypatch.setattr(dataset, attribute, checksums)
    ((name, content),) = meta.items()
    published = {**dataset.meta, "filename": name, "md5": md5(content).hexdigest()}
    monkeypatch.setattr(dataset, "meta", published)


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """20 dogs, 4 foxes and 4 wolves to train on, 6, 2 and 2 to validate; and other animals."""
    root = tmp_path / "cifar"
    names = [f"other{number}" for number in range(100)]
    ten = [*names[:DOG], "dog", *names[DOG + 1 : 10]]
    hundred = [*names[:FOX], "fox", *names[FOX + 1 : WOLF], "wolf", *names[WOLF + 1 :]]
    publish(
        monkeypatch,
        torchvision_datasets.CIFAR10,
        root,
        {f"data_batch_{n}": batch([DOG, 3, DOG, 0, DOG, DOG], "labels", n) for n in range(1, 6)},
        {"test_batch": batch([DOG, 1] * 6, "labels", 6)},
        {"batches.meta": pickle.dumps({"label_names": ten}, protocol=2)},
    )
    publish(
        monkeypatch,
        torchvision_datasets.CIFAR100,
        root,
        {"train": batch([FOX, WOLF, 2] * 4, "fine_labels", 7)},
        {"test": batch([WOLF, FOX, 9] * 2, "fine_labels", 8)},
        {"meta": pickle.dumps({"fine_label_names": hundred}, protocol=2)},
    )
    monkeypatch.setattr(cifar, "NUM_PER_CLASS", {"train": 4, "val": 2})
    return root


def test_three_classes_balanced_with_the_pixels_of_the_archive(archives):
    data = load_cifar(archives, image_size=24, train_size=32)
    assert data.class_names == ["dog", "fox", "wolf"]
    assert np.bincount(data.train.labels).tolist() == [4, 4, 4]
    assert np.bincount(data.val.labels).tolist() == [2, 2, 2]
    assert data.val.images.shape == (6, 24, 24, 3)
    planes = np.random.default_rng(7).integers(0, 256, (12, 3072), dtype=np.uint8)
    rows = zip(data.train.images, data.train.labels, data.train.names, strict=True)
    for image, label, name in rows:
        if label > 0:
            index = int(name.split()[-1])
            assert name == f"cifar-100-python {['fox', 'wolf'][label - 1]} {index}"
            wanted = planes[index].reshape(3, 32, 32).transpose(1, 2, 0)
            np.testing.assert_array_equal(image, wanted)


def test_the_seed_draws_the_dogs(archives):
    def dogs(seed):
        data = load_cifar(archives, seed=seed)
        return {name for name in data.train.names if "dog" in name}

    assert dogs(0) == dogs(0)
    assert len({frozenset(dogs(seed)) for seed in range(5)}) > 1
    assert load_cifar(archives).fingerprint != load_cifar(archives, seed=1).fingerprint


class Trap:
    """Unpickling it would say so."""

    def __reduce__(self):
        return (pytest.fail, ("a file was unpickled before its checksum was compared",))


def no_network(*args, **kwargs):
    raise socket.gaierror(-3, "Temporary failure in name resolution")


def test_nothing_is_unpickled_that_fails_its_checksum(archives, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    load_cifar(archives)  # unpacks
    for path in archives.rglob("*_batch*"):
        path.write_bytes(pickle.dumps(Trap()))
    for archive in archives.glob("*.tar.gz"):
        archive.write_bytes(b"another archive")
    with pytest.raises(DataError, match="cannot get CIFAR"):
        load_cifar(archives)


def test_without_a_home_or_a_network_one_line_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(
        DataError, match=r"name resolution.*cifar-10-python\.tar\.gz.* and put"
    ) as error:
        load_cifar(tmp_path / "none")
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", lambda: Path("~nobody-of-this-name").expanduser())
    with pytest.raises(DataError, match=r"home.*set data\.root"):
        load_cifar(None)
