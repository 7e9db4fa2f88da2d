"""When an operation's operands stand, by the rules of `rnnrtl.schedule.operations.Op`."""

from rnnrtl.schedule.operations import Op


def arrival(op: Op) -> float:
    """Return when the last operand stands, ns after the start of the cycle that reads it."""
    return max((_stands(op, operand, n) for n, operand in enumerate(op.operands)), default=0.0)


def _stands(op: Op, operand: Op, number: int) -> float:
    if operand.kind == "constant":
        return 0.0
    cycle = op.cycle + number if op.kind == "choice" else op.cycle
    assert operand.cycle <= cycle, f"{op.name} comes before {operand.name}"
    if operand.phases > 1 and op.phases == 1:
        assert cycle < operand.cycle + operand.phases, f"{op.name} misses {operand.name}"
        return operand.ready  # a phase that is computed in this very cycle
    if op.phases > 1 and op.kind != "choice":
        assert operand.phases in (1, op.phases)
        if operand.phases == 1 and operand.kind not in ("input", "state"):
            assert operand.cycle < cycle, f"{op.name} needs {operand.name} in a register"
    return operand.ready if operand.cycle == cycle else 0.0
