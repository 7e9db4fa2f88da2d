"""Build the core in a simulator and run the testbench on it.

    python sim/run.py icarus
    python sim/run.py verilator

Exit status: 0 if every test passed, 1 if one failed, 3 if the core could not be built. Everything
goes to `results/<simulator>/` beside the manifest.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

_BUILD_FAILED = 3

_HERE = Path(__file__).resolve().parent


def _build_arguments(simulator: str) -> list[str]:
    if simulator == "icarus":
        return []
    return [
        # Warnings are for the linter; here they must not stop the build.
        "-Wno-fatal",
        "--no-public-flat-rw",
        str(_HERE / "ports.vlt"),
    ]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Run the testbench of this core.")
    parser.add_argument("simulator", choices=("icarus", "verilator"))
    parser.add_argument(
        "--manifest", type=Path, default=_HERE.parent / "manifest.json", help="default: %(default)s"
    )
    options = parser.parse_args()
    manifest = options.manifest.resolve()
    description = json.loads(manifest.read_text())
    output = manifest.parent / "results" / options.simulator
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)

    if options.simulator == "verilator" and any(map(str.isspace, str(output))):
        (output / "build.log").write_text(f"Error: make cannot build in {str(output)!r}: a space\n")
        return _BUILD_FAILED

    # The simulator inherits this path, and imports this folder as a package.
    sys.path[:] = [str(_HERE.parent), *(path for path in sys.path if path != str(_HERE))]
    runner = get_runner(options.simulator)
    try:
        runner.build(
            sources=[manifest.parent / description["verilog"]],
            hdl_toplevel=description["top"],
            build_args=_build_arguments(options.simulator),
            build_dir=output / "build",
            timescale=("1ns", "1ps"),
            log_file=output / "build.log",
        )
    except RuntimeError as error:
        sys.stderr.write(f"{error}; see {output / 'build.log'}\n")
        return _BUILD_FAILED
    plusargs = [f"+manifest={manifest}"]
    if options.simulator == "verilator":
        # It knows no X: registers without an initial value start at random instead.
        plusargs += ["+verilator+rand+reset+2", f"+verilator+seed+{1 + description['seed']}"]
    try:
        results = runner.test(
            test_module=f"{_HERE.name}.testbench",
            hdl_toplevel=description["top"],
            hdl_toplevel_lang="verilog",
            seed=description["seed"],
            plusargs=plusargs,
            build_dir=output / "build",
            test_dir=output,
            results_xml=str(output / "results.xml"),
            log_file=output / "simulation.log",
        )
        tests, failed = get_results(results)
    except RuntimeError as error:
        sys.stderr.write(f"{error}; see {output / 'simulation.log'}\n")
        return 1
    sys.stdout.write(f"{tests - failed} of {tests} tests passed; see {output}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
