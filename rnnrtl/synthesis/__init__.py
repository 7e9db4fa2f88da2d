"""Resource estimates from Yosys."""
