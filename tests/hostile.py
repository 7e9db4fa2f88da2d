"""Model files damaged on purpose, by byte and by meaning, and the limits that reading keeps to."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

DATA = Path(__file__).parent / "data"
SECONDS, BYTES = 5.0, 1 << 30
FILES: Mapping[str, str | None] = {
    "keras2_gru.h5": None, "keras2_lstm.h5": None, "keras3_gru.keras": None,
    "keras3_lstm.h5": None, "torch_gru.onnx": "onnx", "torch_lstm.onnx": "onnx",
    "model.safetensors": "safetensors", "model.pt": "torch", "module.pt": "torch",
    "model.npz": None,
}  # fmt: skip
"""File -> the optional package that reading it needs."""

Rng = np.random.Generator


@contextmanager
def limited(seconds: float = SECONDS, most: int = BYTES) -> Iterator[None]:
    """Raise AssertionError where what is done inside takes more CPU time or memory than that.

    Both are counted with the processes that it starts and waits for: the time; the memory is that
    of this process, since the one that reads HDF5 has a limit of its own, of 256 MiB.
    """
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = _memory("VmRSS"), _cpu()
    yield
    spent, taken = _cpu() - start, _memory("VmHWM") - before
    assert spent < seconds, f"{spent:.1f} s of CPU time"
    assert taken < most, f"{taken >> 20} MiB"


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _memory(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{key}:"))
    return int(line.split()[1]) << 10


def arrays(rng: Rng) -> dict[str, Any]:
    """Return the state dict of a small tagger."""
    shapes = {"rnn.weight_ih_l0": (16, 3), "rnn.weight_hh_l0": (16, 4), "head.weight": (2, 4)}
    return {key: rng.standard_normal(shape).astype("f4") for key, shape in shapes.items()}


def written(name: str, content: dict[str, Any]) -> bytes:
    """Return a file of arrays, which are as they may be."""
    buffer = io.BytesIO()
    if name.endswith(".npz"):
        np.savez(buffer, **content)
    elif name.endswith(".safetensors"):
        from safetensors.numpy import save

        return bytes(save({key: np.ascontiguousarray(value) for key, value in content.items()}))
    else:
        import torch

        if name == "module.pt":
            torch.manual_seed(1)
            torch.save(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh()), buffer)
        else:
            torch.save({k: torch.from_numpy(np.array(v)) for k, v in content.items()}, buffer)
    return buffer.getvalue()


def content(name: str) -> bytes:
    """Return the file to damage."""
    path = DATA / name
    return path.read_bytes() if path.exists() else written(name, arrays(np.random.default_rng(1)))


def damaged(data: bytearray, rng: Rng) -> None:
    """Change bytes to others, to huge and small numbers, or cut the end off."""
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(max(1, len(data) - 8)))
        kind = rng.integers(6)
        if kind == 0:
            data[at] = int(rng.integers(256))
        elif kind == 1:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            data[at : at + 8] = b"\xff" * 8
        elif kind == 3:
            data[at : at + 8] = int(rng.integers(1 << 40)).to_bytes(8, "little")
        elif kind == 4:
            data[at : at + 4] = bytes(4)
        else:
            del data[at:]


def by_bytes(path: Path, rng: Rng) -> None:
    """Write a file with damaged bytes; in a .keras those of a member, or sums would find them."""
    data = bytearray(content(path.name))
    if path.suffix != ".keras":
        damaged(data, rng)
        path.write_bytes(bytes(data))
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {each: bytearray(archive.read(each)) for each in archive.namelist()}
    damaged(members[str(rng.choice(sorted(members)))], rng)
    _zip(path, {each: bytes(changed) for each, changed in members.items()})


def _zip(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def other(values: Any, rng: Rng) -> Any:
    """Return an array of another shape, with other numbers, or of another type."""
    values = np.array(values)
    flat = values.reshape(-1)
    place = int(rng.integers(max(1, flat.size)))
    match int(rng.integers(8)):
        case 0:
            return values.T.copy()
        case 1:
            return values[..., :-1].copy() if values.ndim else values
        case 2:
            return values[None].copy()
        case 3:
            return flat.copy()
        case 4:
            return values[:0].copy() if values.ndim else values
        case 5:
            return np.rint(values * 10).astype(np.int64)
        case 6:
            return values.astype(np.float16)
    odd = [np.nan, np.inf, -np.inf, 1e38] if values.dtype.kind == "f" else [-1, 0, 99]
    flat[place : place + 1] = rng.choice(odd)
    return values


def by_numbers(path: Path, rng: Rng) -> None:
    """Write a file that is sound, but one of its arrays is not."""
    if path.suffix == ".onnx":
        import onnx

        model = onnx.load_model_from_string(content(path.name))
        tensor = _tensor(model, rng)
        changed = other(onnx.numpy_helper.to_array(tensor), rng)
        tensor.CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))
        path.write_bytes(model.SerializeToString())
    elif path.suffix in (".h5", ".keras"):
        _by_numbers_hdf5(path, rng)
    else:
        given = arrays(np.random.default_rng(1))
        key = str(rng.choice(sorted(given)))
        path.write_bytes(written(path.name, {**given, key: other(given[key], rng)}))


def _tensor(model: Any, rng: Rng) -> Any:
    """Return one of the tensors of a graph; exporters write them in two places."""
    constants = (node for node in model.graph.node if node.op_type == "Constant")
    inside = [each.t for node in constants for each in node.attribute if each.name == "value"]
    tensors = [*model.graph.initializer, *inside]
    return tensors[int(rng.integers(len(tensors)))]


def _by_numbers_hdf5(path: Path, rng: Rng) -> None:
    data, members = content(path.name), {}
    if path.suffix == ".keras":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {each: archive.read(each) for each in archive.namelist()}
        data = members["model.weights.h5"]
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        names: list[str] = []
        file.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        name = str(rng.choice(sorted(names)))
        values = other(file[name][()], rng)
        del file[name]
        if rng.integers(4):
            file[name] = values
        else:  # a size that is only declared
            file.create_dataset(name, (1 << int(rng.integers(10, 40)), 4), "f4")
    if members:
        _zip(path, {**members, "model.weights.h5": buffer.getvalue()})
    else:
        path.write_bytes(buffer.getvalue())


def by_size(path: Path, rng: Rng) -> None:
    """Write a file that declares an array of a huge size, with few bytes of it."""
    many = 1 << int(rng.integers(26, 60))
    if path.suffix == ".onnx":
        import onnx

        model = onnx.load_model_from_string(content(path.name))
        tensor = _tensor(model, rng)
        tensor.dims[:] = [many, *tensor.dims[1:]]
        path.write_bytes(model.SerializeToString())
    elif path.suffix == ".pt":
        import torch

        tensor = torch.zeros(1).expand(min(many, 1 << 40) // 16, 16)
        torch.save({"rnn.weight_ih_l0": tensor, "rnn.weight_hh_l0": torch.zeros(16, 4)}, path)
    elif path.suffix == ".npz":
        header = str({"descr": "<f4", "fortran_order": False, "shape": (many, 3)}).encode()
        start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        _zip(path, {"rnn.weight_ih_l0.npy": start + header + bytes(64)})
    elif path.suffix == ".safetensors":
        text = f'{{"w":{{"dtype":"F32","shape":[{many}],"data_offsets":[0,{4 * many}]}}}}'.encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(64))
    else:
        by_numbers(path, rng)


class Code:
    """Unpickles by making a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def by_tricks(path: Path, rng: Rng) -> None:
    """Write a file whose members have names that lead elsewhere, or that runs code."""
    out = path.parent / "out"
    kind = int(rng.integers(3))
    if kind == 0 or not zipfile.is_zipfile(io.BytesIO(content(path.name))):
        path.write_bytes(pickle.dumps(Code(out), protocol=int(rng.integers(2, 6))))
        return
    with zipfile.ZipFile(io.BytesIO(content(path.name))) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    name = str(rng.choice(sorted(members)))
    if kind == 1:
        data = members.pop(name)
        lead = str(rng.choice(["../", "/", "../../", "C:\\", "a/../../", "\0"]))
        members[f"{lead}{name}"] = data
        members[f"{lead}out"] = data
    else:
        members[name] = pickle.dumps(Code(out))
    _zip(path, members)


WAYS: tuple[Callable[[Path, Rng], None], ...] = (
    by_bytes, by_bytes, by_numbers, by_size, by_tricks,
)  # fmt: skip
"""What mutations are, in turn: two of five damage bytes."""
