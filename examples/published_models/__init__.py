"""Networks that Python packages ship, read from their files and compared with what they compute."""
