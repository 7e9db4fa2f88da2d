"""Turn the constituents of jets into the numbers that the top taggers take.

    python examples/top_tagging/preprocess.py jets_qcd.npz jets_ttbar.npz -o jets.npz

Input, as make_jets.py writes it: one file a class, background first, with `x` (jets, constituents,
6): pT/pT_jet, deta, dphi (to the jet axis), E/E_jet, deltaR, PDG id; zero padded. Output: `x` of
the same shape, float32, and `y`, the position of the class on the command line, in mixed order.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Jets = NDArray[np.float32]

# By |PDG id|. Everything else that is there (pions, kaons, protons) is a charged hadron.
PHOTON, NEUTRAL_HADRONS, LEPTONS = 22, (130, 2112), (11, 13)


def preprocess(jets: Jets) -> Jets:
    """Scale jets (jets, constituents, 6) for the network.

    (deta, dphi) are taken relative to the hardest constituent and rotated so that the axis of
    largest pT-weighted second moment about it comes first, and that the pT-weighted sum along it
    is negative: which end of the axis comes first must not depend on the jet's orientation. The
    PDG id becomes 0 padding, 0.25 photon, 0.5 charged hadron, 0.75 neutral hadron, 1 lepton.
    """
    x = jets.astype(np.float64)
    pt = x[..., 0]
    real = pt > 0
    eta = (x[..., 1] - x[:, :1, 1]) * real
    phi = (x[..., 2] - x[:, :1, 2]) * real
    # The angle that makes the mixed moment vanish and the first moment the larger one.
    mixed = 2 * (pt * eta * phi).sum(axis=1)
    angle = 0.5 * np.arctan2(mixed, (pt * (eta**2 - phi**2)).sum(axis=1))
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    along, across = cos * eta + sin * phi, cos * phi - sin * eta
    # A turn by half a circle, not a mirror: both coordinates change sign.
    sign = np.where((pt * along).sum(axis=1) > 0, -1.0, 1.0)[:, None]
    x[..., 1], x[..., 2] = sign * along, sign * across
    x[..., 5] = particle_class(x[..., 5]) * real
    return x.astype(np.float32)


def particle_class(pdg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the class of each PDG id, between 0 and 1."""
    size = np.abs(pdg)
    kinds = [size == 0, size == PHOTON, np.isin(size, NEUTRAL_HADRONS), np.isin(size, LEPTONS)]
    return np.select(kinds, [0.0, 0.25, 0.75, 1.0], 0.5)


def main() -> None:
    """Read the files of the command line, write one file for train.py."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="jets of one class each")
    parser.add_argument("-o", "--output", type=Path, required=True, help=".npz to write")
    parser.add_argument("--limit", type=int, help="take only the first jets of each file")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the jets")
    arguments = parser.parse_args()
    if len(arguments.files) != 2:
        parser.error("give two files, background first")
    classes = []
    for file in arguments.files:
        with np.load(file, allow_pickle=False) as data:
            classes.append(preprocess(data["x"][: arguments.limit]))
    x = np.concatenate(classes)
    y = np.repeat(np.arange(2, dtype=np.int8), [len(jets) for jets in classes])
    order = np.random.default_rng(arguments.seed).permutation(len(x))
    np.savez_compressed(arguments.output, x=x[order], y=y[order])
    print(f"{arguments.output}: {len(x)} jets, {int(y.sum())} of them {arguments.files[1].stem}")


if __name__ == "__main__":
    main()
