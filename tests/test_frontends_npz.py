"""Files of weights: the round trip through .npz, and files that are damaged or hostile."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy

from rnnrtl.errors import ModelError, OutputError, RnnrtlError, UnsupportedError
from rnnrtl.frontends import load, save
from tests.frontend_models import X, dense, keras

DATA = Path(load.__code__.co_filename).parent.parent / "demo" / "data"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip(tmp_path: Path, dtype: Any) -> None:
    source = {"gru": keras("gru", bias_rows=2), "out": dense(activation="relu")}
    source["gru"]["kernel"] = source["gru"]["kernel"].astype(dtype)
    network = load(source, steps=6).replace(name="tagger")
    path = tmp_path / "a.npz"
    save(network, path)
    again = load(path)
    assert (again.name, again.steps) == ("tagger", 6)
    np.testing.assert_array_equal(again.predict(X), network.predict(X))
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["gru/kernel"].dtype == dtype
        assert list(arrays)[:3] == ["name", "steps", "gru/kernel"]
    save(again, tmp_path / "b.npz")
    assert path.read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_round_trip_of_a_plain_rnn(tmp_path: Path) -> None:
    source = {"a": keras("simple_rnn", bias_rows=2, activation="relu"), "out": dense()}
    network = load(source)
    save(network, tmp_path / "a.npz")
    again = load(tmp_path / "a.npz")
    assert again.recurrent[0].activation == "relu"
    np.testing.assert_array_equal(again.predict(X), network.predict(X))


def test_npz_that_numpy_wrote(tmp_path: Path) -> None:
    arrays = keras("lstm")
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "MyModel.npz", **arrays)
        network = load(str(tmp_path / "MyModel.npz"))
        assert network.name == "my_model"
        np.testing.assert_array_equal(network.predict(X), load(arrays).predict(X))


def test_save_says_where_it_cannot_write(tmp_path: Path) -> None:
    network = load(keras("gru"))
    with pytest.raises(OutputError, match=r"name the file so"):
        save(network, tmp_path / "model.pt")
    with pytest.raises(OutputError, match=r"cannot be written: No such file"):
        save(network, tmp_path / "nowhere" / "model.npz")


@pytest.mark.parametrize(("cell", "parameters"), [("gru", 3049), ("lstm", 3569)])
def test_demo_networks(cell: str, parameters: int) -> None:
    network = load(DATA / f"top_{cell}20.npz")
    assert (network.name, network.steps, network.parameters) == (f"top_{cell}20", 20, parameters)
    assert [layer.name for layer in network.layers] == [cell, "dense", "output"]
    with np.load(DATA / "jets_test2000.npz", allow_pickle=False) as jets:
        x, y = jets["x"], jets["y"]
    assert x.shape == (2000, 20, 6)
    score = network.predict(x)[:, 0]
    area = (score[y == 1][:, None] > score[y == 0]).mean()
    assert round(float(area), 4) == {"gru": 0.9078, "lstm": 0.9125}[cell]


def member(header: bytes = b"", *, array: Any = None, allow_pickle: bool = False) -> bytes:
    """Return the bytes of one .npy, or of a header alone."""
    if array is None:
        return header
    buffer = io.BytesIO()
    npy.write_array(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def declaring(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    """Return an .npy that declares a shape and holds 16 bytes."""
    buffer = io.BytesIO()
    npy.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + bytes(16)


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def bomb() -> bytes:
    """Return a small zip file whose directory declares 5 GiB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("kernel.npy", declaring((5 << 27,)))
        file.infolist()[0].file_size = 5 << 30
    return buffer.getvalue()


GOOD = archive(kernel=member(array=np.random.default_rng(8).standard_normal((20, 30))))


class Hostile:
    """Unpickles by creating a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "cannot be read as .npz"),
    "text": (b"kernel = 3\n", "cannot be read as .npz: File is not a zip file"),
    "no members": (archive(), "at least one layer"),
    "no array in it": (archive(kernel=b"hello, hello, hello"), "cannot be read as .npz"),
    "truncated array": (archive(kernel=declaring((4, 2))), "declares shape .4, 2.*16 bytes follow"),
    "huge header": (archive(kernel=declaring((1 << 40, 1 << 40))), "declares shape"),
    "negative header": (archive(kernel=declaring((-1, -2))), "declares shape"),
    "objects": (
        archive(kernel=member(array=np.array([{}], object), allow_pickle=True)), "Python objects",
    ),
    "long header": (
        archive(kernel=b"\x93NUMPY\x02\x00" + (1 << 24).to_bytes(4, "little")), "cannot be read",
    ),
    "version": (archive(kernel=b"\x93NUMPY\x03\x00" + bytes(64)), "version"),
    "code in the header": (
        archive(kernel=b"\x93NUMPY\x01\x00\x20\x00" + b"__import__('os').getcwd()".ljust(32)),
        "cannot be read as .npz",
    ),
    "records": (
        archive(kernel=member(array=np.zeros((2, 2), [("a", "f4")]))), "'kernel' holds",
    ),
    "NaN": (archive(kernel=member(array=np.full((2, 2), np.nan))), "dense.kernel is nan"),
    "unknown key": (archive(weights=member(array=np.eye(2))), "unknown key 'weights'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_npz(tmp_path: Path, case: str) -> None:
    content, message = BAD_FILES[case]
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"model\.npz.*{message}") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0.01, 0.3, 0.6, 0.9, 0.99, 0.999])
def test_truncated_npz(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "model.npz"
    path.write_bytes(GOOD[: int(len(GOOD) * keep)])
    with pytest.raises(ModelError, match=r"model\.npz cannot be read"):
        load(path)


def test_damaged_npz(tmp_path: Path) -> None:
    """Flipped bytes give our own error or, where nothing reads them, the same weights."""
    path = tmp_path / "model.npz"
    path.write_bytes(GOOD)
    kernel = load(path).layers[0].kernel  # type: ignore[union-attr]
    rng = np.random.default_rng(9)
    for _ in range(150):
        damaged = bytearray(GOOD)
        damaged[rng.integers(len(GOOD))] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(damaged))
        try:
            layer = load(path).layers[0]
        except RnnrtlError:
            continue
        np.testing.assert_array_equal(layer.kernel, kernel)  # type: ignore[union-attr]


def test_zip_bomb(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    path.write_bytes(bomb())
    with pytest.raises(ModelError, match=r"unpacks to \d+ bytes"):
        load(path)


def test_hostile_npz_runs_nothing(tmp_path: Path) -> None:
    path, touched = tmp_path / "model.npz", tmp_path / "touched"
    hostile = member(array=np.array([Hostile(touched)], object), allow_pickle=True)
    for content in (archive(kernel=hostile), pickle.dumps(Hostile(touched)), hostile):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"model\.npz"):
            load(path)
        assert not touched.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.pkl", "pickles run code"),
        ("model.npy", "one array makes no network"),
        ("model.xyz", "files of type .xyz are not read, only .npz, .keras, .h5"),
        ("model", "files of type unknown are not read"),
    ],
)
def test_files_that_are_not_read(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UnsupportedError, match=message):
        load(tmp_path / name)
    with pytest.raises(ModelError, match="no such file"):
        load(tmp_path / f"no_{name}")


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ModelError, match="a directory or a device"):
        load(tmp_path / "folder.npz")
    with pytest.raises(ModelError, match=r"cannot be read|no such file"):
        load("model\0.npz")
    with pytest.raises(ModelError, match="cannot be read"):
        load("m" * 5000 + ".npz")
    with pytest.raises(ModelError, match=r"no such file|directory"):
        load("")
