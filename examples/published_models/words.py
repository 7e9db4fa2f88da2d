"""Networks that read words, letter by letter."""

import json
from pathlib import Path

import numpy as np

import rnnrtl
from examples.published_models.published import Array, Published, Read, folder_of
from rnnrtl.network import Network

# Words of the two packages' own descriptions.
WORDS = (
    "natural", "language", "nlp", "processing", "similarity", "spelling", "mistakes", "slang",
    "activationist", "pocket", "popular", "pets", "cats", "dogs", "refuse", "collect", "don't",
)  # fmt: skip


def _lstm(name: str, units: int, before: str, *, every: bool) -> dict[str, object]:
    options = {
        "name": name, "units": units, "return_sequences": every, "activation": "tanh",
        "recurrent_activation": "sigmoid",
    }  # fmt: skip
    node = [[[before, 0, 0, {}]]]
    return {"class_name": "LSTM", "config": options, "inbound_nodes": node}


def chars2vec_architecture(letters: int, units: int) -> str:
    """Return as Keras 2's JSON what `Chars2Vec.__init__` builds; the package ships no more."""
    given = {"name": "letters", "batch_input_shape": [None, None, letters]}
    layers = [
        {"class_name": "InputLayer", "config": given, "inbound_nodes": []},
        _lstm("lstm_1", units, "letters", every=True),
        _lstm("lstm_2", units, "lstm_1", every=False),
    ]
    ends = {"input_layers": [["letters", 0, 0]], "output_layers": [["lstm_2", 0, 0]]}
    return json.dumps(
        {"class_name": "Model", "keras_version": "2.2.4", "config": {"layers": layers, **ends}}
    )


def one_hot(word: str, places: dict[str, int]) -> Array:
    """Return a vector for each letter, zeros for one that the network does not know."""
    x = np.zeros((len(word), len(places)))
    for step, letter in enumerate(word):
        if letter in places:
            x[step, places[letter]] = 1
    return x


def chars2vec(folder: Path) -> Read:
    """Read eng_50: one vector for a word."""
    import chars2vec as package

    model = package.load_model("eng_50")
    architecture = folder / "eng_50.json"
    architecture.write_text(chars2vec_architecture(len(model.char_to_ix), model.dim))
    weights = folder_of("chars2vec") / "trained_models" / "eng_50" / "weights.h5"
    network = rnnrtl.load(weights, architecture=architecture)
    x = [one_hot(word, model.char_to_ix) for word in WORDS]
    # One by one: a batch is filled with zeros in front to the longest word in it.
    return Read(network, x, [model.vectorize_words([word])[0] for word in WORDS])


def g2p(folder: Path) -> Read:
    """Read the encoder: its last state is what the decoder begins with."""
    from g2p_en.g2p import G2p

    model = G2p.__new__(G2p)  # its __init__ needs data from the net for other words
    model.graphemes = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
    model.g2idx = {letter: place for place, letter in enumerate(model.graphemes)}
    model.load_variables()
    names = {"ih": "ih", "hh": "hh"}
    with np.load(folder_of("g2p_en") / "checkpoint20.npz") as stored:
        weights = {
            f"{part}_{name}_l0": stored[f"enc_{part[0]}_{name}"]
            for part in ("weight", "bias")
            for name in names
        }
    network: Network = rnnrtl.load(weights)
    x = [model.encode(word)[0] for word in WORDS]
    y = [
        model.gru(
            each[None], len(each), model.enc_w_ih, model.enc_w_hh, model.enc_b_ih, model.enc_b_hh
        )[0]
        for each in x
    ]
    return Read(network, x, y)


MODELS = {
    "chars2vec": Published(
        package="chars2vec==0.1.7",
        needs="tensorflow==2.15.1",
        licence="Apache-2.0",
        kind="word embedding, weights of Keras 2 (.h5) and its architecture as JSON",
        input=f"{len(WORDS)} words",
        compared="vectorize_words",
        read=chars2vec,
        hardware={"precision": "fixed<16,6>", "reuse_factor": 200},
        simulated=4,
    ),
    "g2p_en": Published(
        package="g2p_en==2.1.0",
        needs="",
        licence="Apache-2.0",
        kind="encoder of letters to phonemes, arrays of an .npz under PyTorch's names",
        input=f"{len(WORDS)} words",
        compared="G2p.gru, all states of the encoder",
        read=g2p,
    ),
}
