"""A cocotb testbench for cores with AXI4-Stream ports, driven by a manifest and vectors.

Copy this folder beside `manifest.json` and run `python sim/run.py icarus`; it needs cocotb,
cocotbext-axi and NumPy. `testbench` holds the four tests, `bus` the bus models and the monitor,
`vectors` the files.
"""
