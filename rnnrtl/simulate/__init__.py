"""Running the hardware in a simulator against its vectors."""

from rnnrtl.simulate.amaranth_bench import run_amaranth
from rnnrtl.simulate.measurement import (
    Hardware,
    Measurement,
    Progress,
    StateVectors,
    whole_bursts,
)
from rnnrtl.simulate.testbench import testbench_sources, write_testbench
from rnnrtl.simulate.verilator import Verilator, find_verilator
from rnnrtl.simulate.verilog import Simulator, run_verilog

__all__ = [
    "Hardware",
    "Measurement",
    "Progress",
    "Simulator",
    "StateVectors",
    "Verilator",
    "find_verilator",
    "run_amaranth",
    "run_verilog",
    "testbench_sources",
    "whole_bursts",
    "write_testbench",
]
