"""Damaged and hostile model files: each loads, or ends in one clear line, soon and in bounds."""

import json
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rnnrtl.errors import ModelError, RnnrtlError
from rnnrtl.frontends import load
from tests import keras_models as made
from tests.hostile import DATA, FILES, WAYS, limited

NAMES = ("kernel", "recurrent_kernel", "bias")


def model(path: Path, change: Callable[[Any, Path], None]) -> Path:
    """Write an .h5 with an LSTM whose kernel `change` puts into its group in another way."""
    arrays = dict(zip(NAMES, made.weights("lstm"), strict=True))
    made.write_listed(path, made.sequential(made.RNN), {"rnn": arrays})
    with h5py.File(path, "r+") as file:
        group = file["model_weights/rnn"]
        del group["kernel"]
        change(group, path.parent)
    return path


def other_file(folder: Path) -> Path:
    with h5py.File(folder / "other.h5", "w") as file:
        file["kernel"] = made.weights("lstm")[0]
    return folder / "other.h5"


def external_link(group: Any, folder: Path) -> None:
    group["kernel"] = h5py.ExternalLink(str(other_file(folder)), "kernel")


def soft_link(group: Any, folder: Path) -> None:
    group["kernel"] = h5py.SoftLink("/model_weights/rnn/bias")


def virtual(group: Any, folder: Path) -> None:
    layout = h5py.VirtualLayout((3, 16), "f8")
    layout[:] = h5py.VirtualSource(str(other_file(folder)), "kernel", (3, 16))
    group.create_virtual_dataset("kernel", layout)


def external_storage(group: Any, folder: Path) -> None:
    place = [(str(other_file(folder)), 0, h5py.h5f.UNLIMITED)]
    group.create_dataset("kernel", (3, 16), "f8", external=place)


def huge(group: Any, folder: Path) -> None:
    group.create_dataset("kernel", (1 << 20, 1 << 20), "f4")


def large(group: Any, folder: Path) -> None:
    group.create_dataset("kernel", (1 << 12, 1 << 12), "f4")  # of which nothing is stored


def bomb(group: Any, folder: Path) -> None:
    group.create_dataset("kernel", (1 << 12, 1 << 12), "f4", chunks=(1 << 12, 1 << 12),
                         compression="gzip", fillvalue=0)  # fmt: skip


def crumbs(group: Any, folder: Path) -> None:
    group.create_dataset("kernel", (300, 16), "f4", chunks=(1, 1))


def other_filter(group: Any, folder: Path) -> None:
    group.create_dataset("kernel", data=made.weights("lstm")[0], compression="lzf")


def objects(group: Any, folder: Path) -> None:
    group.create_dataset("kernel", data=["text"], dtype=h5py.string_dtype())


def references(group: Any, folder: Path) -> None:
    group.create_dataset("kernel", (3, 16), h5py.ref_dtype)


def empty(group: Any, folder: Path) -> None:
    group.create_dataset("kernel", data=h5py.Empty("f4"))


def loop(group: Any, folder: Path) -> None:
    group["kernel"] = group


def nothing(group: Any, folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "message"),
    [(external_link, "somewhere else"), (soft_link, "somewhere else"), (virtual, "in other files"),
     (external_storage, "in other files"), (huge, "more than is read"),
     (large, "declares 67108864 bytes"), (bomb, "declares 67108864 bytes"),
     (crumbs, "4800 pieces"),
     (other_filter, "only gzip is read"), (objects, "holds object"),
     (references, "holds object"),
     (empty, "expected floats"), (loop, "linked twice"),
     (nothing, "'model_weights/rnn/kernel' is")],
)  # fmt: skip
def test_hdf5(tmp_path: Path, change: Callable[[Any, Path], None], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load(model(tmp_path / "model.h5", change))
    assert "\n" not in str(caught.value)


def test_hdf5_compressed(tmp_path: Path) -> None:
    kernel = made.weights("lstm")[0]
    path = model(
        tmp_path / "model.h5",
        lambda group, _: group.create_dataset("kernel", data=kernel, compression="gzip"),
    )
    np.testing.assert_array_equal(load(path).recurrent[0].gates["i"].kernel, kernel.T[:4])


def test_hdf5_that_does_not_end(tmp_path: Path) -> None:
    """A heap of strings whose first object ends where it starts: HDF5 2.0 stays there for ever."""
    data = bytearray((DATA / "keras3_lstm.h5").read_bytes())
    start = data.find(b"GCOL") + 16
    assert start > 16
    data[start : start + 16] = struct.pack("<HHIQ", 1, 0, 0, 2**64 - 16)
    path = tmp_path / "model.h5"
    path.write_bytes(data)
    with limited(), pytest.raises(ModelError, match="does not come to an end"):
        load(path)


def test_archive(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    data = made.numbered(lstm=made.weights("lstm"))
    config = json.dumps(made.sequential(made.RNN))
    plain: dict[str, str | bytes] = {
        "config.json": config,
        "metadata.json": "{}",
        "model.weights.h5": data,
    }
    cases: list[tuple[dict[str, str | bytes], str]] = [
        ({"config.json": config, "metadata.json": "{}"}, "0 files model.weights.h5"),
        ({**plain, "model.weights.h5": b"no HDF5"}, "cannot be read as HDF5"),
        ({**plain, "model.weights.h5": bytes(1 << 29)}, "unpacks to 536870912 bytes"),
        ({**plain, "config.json": b"\xff\xfe\xfa"}, "config.json is not JSON"),
    ]
    for members, message in cases:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with pytest.raises(ModelError, match=message):
            load(path)
    # Names of members are never paths: nothing is unpacked.
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**plain, "../../out": "x", "/out": "x"}.items():
            archive.writestr(name, content)
    load(path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.keras"]
    path.write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(ModelError, match=r"damaged \.keras"):
        load(path)


def mutate(folder: Path, name: str, seed: int) -> None:
    """Damage a file and load it: an error of ours within the limits, or a network."""
    path = folder / name
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zipfile's, of names that come twice
        WAYS[seed % len(WAYS)](path, rng)
    architecture = DATA / "keras2_lstm.json" if name == "keras2_lstm.h5" else None
    text = name
    with limited():
        try:
            load(path, architecture=architecture)
        except RnnrtlError as error:
            text = str(error)
    assert "\n" not in text, seed
    assert name in text, seed
    assert sorted(each.name for each in folder.iterdir()) == [name], seed
    assert not (folder.parent / "out").exists(), seed


@pytest.mark.parametrize("name", FILES)
def test_mutations(tmp_path: Path, name: str) -> None:
    """One of each way, and of those that are read in this process several."""
    if (package := FILES[name]) is not None:
        pytest.importorskip(package)
    for seed in range(5 if name.endswith(("h5", "keras")) else 15):
        mutate(tmp_path, name, seed)


@pytest.mark.soak
@pytest.mark.parametrize("name", FILES)
def test_many_mutations(tmp_path: Path, name: str) -> None:
    if (package := FILES[name]) is not None:
        pytest.importorskip(package)
    for seed in range(100, 400):
        mutate(tmp_path, name, seed)


def test_limits_are_kept() -> None:
    # By far, for what earlier tests left in this process may be freed meanwhile.
    with pytest.raises(AssertionError, match="CPU time"), limited(seconds=0.01):
        sum(range(4_000_000))
    with pytest.raises(AssertionError, match="MiB"), limited(most=32 << 20):
        np.ones(128 << 20)
    with limited(most=512 << 20):
        np.ones(1 << 20)
