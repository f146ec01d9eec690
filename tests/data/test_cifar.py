"""CIFAR, with small archives in place of the published ones."""

import io
import pickle
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from data import DataError, cifar
from data.cifar import load_cifar


class Archive:
    """A dataset as torchvision reads it from an archive."""

    def __init__(self, name, labels, is_train):
        rng = np.random.default_rng(len(labels) + is_train)
        names = ["dog", "fox", "wolf", "other"]
        self.base_folder = name
        self.class_to_idx = {name: index for index, name in enumerate(names)}
        self.targets = [names.index(label) for label in labels.split()]
        self.data = rng.integers(0, 256, (len(self.targets), 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def archives(monkeypatch):
    """Provide 20 dogs, 4 foxes and 4 wolves for training, 6, 2 and 2 for validation, and others."""

    def ten(root, is_train, download):
        return Archive("cifar-10", "dog other " * (20 if is_train else 6), is_train)

    def hundred(root, is_train, download):
        return Archive("cifar-100", "fox wolf other " * (4 if is_train else 2), is_train)

    monkeypatch.setattr(datasets, "CIFAR10", ten)
    monkeypatch.setattr(datasets, "CIFAR100", hundred)
    monkeypatch.setattr(cifar, "NUM_PER_CLASS", {"train": 4, "val": 2})


def test_three_classes_balanced_with_the_pixels_of_the_archive(archives):
    data = load_cifar("unused", image_size=26)
    assert data.class_names == ["dog", "fox", "wolf"]
    assert np.bincount(data.train.labels).tolist() == [4, 4, 4]
    assert np.bincount(data.val.labels).tolist() == [2, 2, 2]
    assert data.val.images.shape == (6, 26, 26, 3)
    hundred = datasets.CIFAR100("unused", True, download=True)
    rows = zip(data.train.images, data.train.labels, data.train.names, strict=True)
    for image, label, name in rows:
        if label > 0:
            index = int(name.split()[-1])
            assert name == f"cifar-100 {['fox', 'wolf'][label - 1]} {index}"
            np.testing.assert_array_equal(image, hundred.data[index])


def test_the_seed_chooses_the_dogs(archives):
    loaded = [load_cifar("unused", seed=seed) for seed in (0, 0, 1, 2)]
    dogs = [frozenset(name for name in data.train.names if "dog" in name) for data in loaded]
    assert dogs[0] == dogs[1] and len(set(dogs)) > 1
    assert loaded[0].fingerprint == loaded[1].fingerprint != loaded[2].fingerprint


class Trap:
    """An object that fails the test when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a file was unpickled before its checksum was compared",))


def test_without_a_network_no_other_archive_is_unpickled(tmp_path, monkeypatch, capsys):
    def no_network(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    content = pickle.dumps(Trap())
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
        for name in ("batches.meta", *(name for name, _ in datasets.CIFAR10.train_list)):
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(
        DataError, match=r"name resolution.*cifar-10-python\.tar\.gz.*and set"
    ) as error:
        load_cifar(tmp_path)
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""


def test_without_a_home_one_line_says_what_to_do(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", lambda: Path("~nobody-of-this-name").expanduser())
    with pytest.raises(DataError, match=r"home.*set data\.root"):
        load_cifar(None)
