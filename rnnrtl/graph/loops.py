"""The recurrence of a layer, with ranges of its states that hold at every step."""

from rnnrtl import cells
from rnnrtl.cells.numbers import Formats
from rnnrtl.graph.graph import Loop
from rnnrtl.graph.nodes import Node, State
from rnnrtl.graph.numbers import Traced
from rnnrtl.layers import Stepping

_ASCENTS = 4  # range iterations before a state's range is taken to be its whole format

_WIDEST = 256  # bits that no state of exact numbers reaches


def looped(
    layer: Stepping,
    x: Node,
    form: Formats,
    numbers: Traced,
    masked: Node | None = None,
    *,
    any_state: bool = False,
) -> tuple[Loop, Node]:
    """Trace a step of a layer with state ranges that hold at every step; return what it gives, too.

    The ranges are a fixed point of the step, found from the initial state upwards. Where they keep
    growing they are taken to be as wide as their format, or wider than any sum: an LSTM's cell
    state ends in `.to(format)`, and what has no format is bounded where it is made. A last pass
    then narrows them to that, and what reads them. A layer that may begin from `any_state` has the
    ranges of the formats.
    """
    initial = cells.initial(layer, x, numbers, form)
    widths = {name: form(t).width if t else _WIDEST for name, t in layer.states.items()}
    ranges = {name: (start.lowest, start.lowest) for name, start in initial.items()}

    def traced() -> tuple[Loop, Node]:
        states = {
            name: State((), s.fraction_bits, *ranges[name], name=name, initial=s.lowest)
            for name, s in initial.items()
        }
        following = cells.step(layer, x, states, numbers, form, masked)
        loop = Loop(layer.name, tuple((states[name], following[name]) for name in initial))
        return loop, following["h"]

    def reached(loop: Loop) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        return {
            state.name: (
                tuple(map(min, following.lowest, state.initial)),
                tuple(map(max, following.highest, state.initial)),
            )
            for state, following in loop.states
        }

    def whole(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        half, lanes = 1 << (widths[name] - 1), initial[name].size
        return (-half,) * lanes, (half - 1,) * lanes

    if any_state:
        ranges = {name: whole(name) for name in initial}
        return traced()
    for ascent in range(_ASCENTS + len(initial) + 1):
        loop, _ = traced()
        found = reached(loop)
        grown = {
            name: (
                tuple(map(min, found[name][0], ranges[name][0])),
                tuple(map(max, found[name][1], ranges[name][1])),
            )
            for name in initial
        }
        if grown == ranges:
            break
        for name in widths:
            if ascent >= _ASCENTS and grown[name] != ranges[name]:
                grown[name] = whole(name)
        ranges = grown
    ranges = reached(loop)
    return traced()
