"""Running the hardware in a simulator against its vectors."""
