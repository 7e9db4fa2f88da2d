"""Make jets with Pythia 8 and FastJet: boosted hadronic tops, or light quarks and gluons.

    python examples/top_tagging/make_jets.py ttbar --jets 15000 -o jets_ttbar.npz
    python examples/top_tagging/make_jets.py qcd --jets 15000 -o jets_qcd.npz

pp at 13 TeV, pTHat 950-1150 GeV, anti-kt R = 0.8, 800 < pT < 1400 GeV, |eta| < 2.5; no detector,
no pile-up. Writes `x` float32 (jets, 20, 6): the 20 hardest constituents as (pT/pT_jet, deta, dphi,
E/E_jet, deltaR, PDG id), zero padded, and `info` (jets, 3): pT [GeV], eta, mass [GeV]. Needs the
extra rnnrtl[jets].
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import fastjet
import numpy as np
import pythia8mc as pythia8
from numpy.typing import NDArray
from rich.progress import Progress

RADIUS = 0.8
PT_JET = (800.0, 1400.0)
ETA_JET = 2.5
CONSTITUENTS = 20
NEUTRINOS = (12, 14, 16)

COMMON = (
    "Beams:idA = 2212",
    "Beams:idB = 2212",
    "Beams:eCM = 13000.",
    "PhaseSpace:pTHatMin = 950.",
    "PhaseSpace:pTHatMax = 1150.",
    "Print:quiet = on",
)
PROCESSES = {
    # Hadronic W decays only: each top is three quarks.
    "ttbar": (
        "Top:gg2ttbar = on",
        "Top:qqbar2ttbar = on",
        "24:onMode = off",
        "24:onIfAny = 1 2 3 4 5",
    ),
    "qcd": ("HardQCD:all = on",),
}


def generator(process: str, seed: int) -> "pythia8.Pythia":
    """Return Pythia, set up for a process."""
    pythia = pythia8.Pythia("", False)
    for setting in (*COMMON, *PROCESSES[process], "Random:setSeed = on", f"Random:seed = {seed}"):
        if not pythia.readString(setting):
            raise SystemExit(f"Pythia does not know the setting {setting!r}")
    if not pythia.init():
        raise SystemExit("Pythia could not be initialised")
    return pythia


def jets_of(event: "pythia8.Event") -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield (constituents, info) of the jets of one event that pass the selection."""
    particles = []
    for particle in event:
        if particle.isFinal() and particle.idAbs() not in NEUTRINOS:
            momentum = fastjet.PseudoJet(particle.px(), particle.py(), particle.pz(), particle.e())
            momentum.set_user_index(particle.id())
            particles.append(momentum)
    clusters = fastjet.ClusterSequence(
        particles, fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
    )
    for jet in fastjet.sorted_by_pt(clusters.inclusive_jets(PT_JET[0])):
        if jet.pt() < PT_JET[1] and abs(jet.eta()) < ETA_JET:
            info = np.array([jet.pt(), jet.eta(), jet.m()], np.float32)
            yield constituents(jet), info


def constituents(jet: "fastjet.PseudoJet") -> NDArray[np.float32]:
    """Return the hardest constituents of a jet, (20, 6)."""
    x = np.zeros((CONSTITUENTS, 6), np.float32)
    hardest = fastjet.sorted_by_pt(jet.constituents())[:CONSTITUENTS]
    for row, part in zip(x, hardest, strict=False):
        eta, phi = part.eta() - jet.eta(), jet.delta_phi_to(part)
        energy = part.e() / jet.e()
        row[:] = part.pt() / jet.pt(), eta, phi, energy, np.hypot(eta, phi), part.user_index()
    return x


def main() -> None:
    """Make as many jets as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("process", choices=sorted(PROCESSES))
    parser.add_argument("--jets", type=int, default=15000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True, help=".npz to write")
    arguments = parser.parse_args()

    pythia = generator(arguments.process, arguments.seed)
    jets: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    with Progress() as progress:
        task = progress.add_task(f"{arguments.process} jets", total=arguments.jets)
        while len(jets) < arguments.jets:
            if pythia.next():
                jets += jets_of(pythia.event)
                progress.update(task, completed=min(len(jets), arguments.jets))
    x, info = (np.stack(part) for part in zip(*jets[: arguments.jets], strict=True))
    np.savez_compressed(arguments.output, x=x, info=info)
    print(f"{arguments.output}: {len(x)} jets of mean mass {info[:, 2].mean():.0f} GeV")


if __name__ == "__main__":
    main()
