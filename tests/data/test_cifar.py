"""Three classes of CIFAR, from stand-ins for what torchvision reads."""

import pickle
import socket
from types import SimpleNamespace

import numpy as np
import pytest

from data import DataError, cifar
from data.cifar import load_cifar

DOG, FOX, WOLF = 5, 34, 97  # where CIFAR has them


def dataset(name, classes, targets, seed):
    """What `load_cifar` reads of a data set of torchvision."""
    pixels = np.random.default_rng(seed).integers(0, 256, (len(targets), 32, 32, 3), dtype=np.uint8)
    return SimpleNamespace(base_folder=name, class_to_idx=classes, targets=targets, data=pixels)


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """20 dogs, 4 foxes and 4 wolves to train on, 6, 2 and 2 to validate; and other animals."""

    def open_both(root, is_train):
        ten = [DOG, 3, DOG, 0, DOG, DOG] * 5 if is_train else [DOG, 1] * 6
        hundred = [FOX, WOLF, 2] * 4 if is_train else [WOLF, FOX, 9] * 2
        return [
            dataset("cifar-10", {"dog": DOG}, ten, seed=6 + is_train),
            dataset("cifar-100", {"fox": FOX, "wolf": WOLF}, hundred, seed=8 + is_train),
        ]

    monkeypatch.setattr(cifar, "_open", open_both)
    monkeypatch.setattr(cifar, "NUM_PER_CLASS", {"train": 4, "val": 2})
    return tmp_path


def test_three_classes_balanced_with_the_pixels_of_the_archive(archives):
    data = load_cifar(archives, image_size=24, train_size=32)
    assert data.class_names == ["dog", "fox", "wolf"]
    assert np.bincount(data.train.labels).tolist() == [4, 4, 4]
    assert np.bincount(data.val.labels).tolist() == [2, 2, 2]
    assert data.val.images.shape == (6, 24, 24, 3)
    _, hundred = cifar._open(archives, is_train=True)
    for image, label, name in zip(
        data.train.images, data.train.labels, data.train.names, strict=True
    ):
        if label > 0:
            index = int(name.split()[-1])
            assert name == f"cifar-100 {['fox', 'wolf'][label - 1]} {index}"
            assert hundred.targets[index] == [FOX, WOLF][label - 1]
            np.testing.assert_array_equal(image, hundred.data[index])


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


@pytest.fixture
def no_network(monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)


def test_nothing_is_unpickled_that_fails_its_checksum(tmp_path, no_network):
    for name in ("cifar-10-batches-py/data_batch_1", "cifar-100-python/train"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    for name in cifar.ARCHIVES:
        (tmp_path / name).write_bytes(b"another archive")
    with pytest.raises(DataError, match="cannot get CIFAR"):
        load_cifar(tmp_path)


def test_without_a_home_one_line_says_what_to_do(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory: no home")

    monkeypatch.setattr(cifar, "default_cache_dir", no_home)
    with pytest.raises(DataError, match=r"no home.*set data\.root"):
        load_cifar(None)


def test_without_a_network_one_line_says_what_to_do(tmp_path, no_network, capsys):
    with pytest.raises(DataError, match=r"name resolution.*cifar-10-python\.tar\.gz") as error:
        load_cifar(tmp_path / "none")
    assert "\n" not in str(error.value)
    assert "put them into that folder" in str(error.value)
    assert capsys.readouterr().out == ""
