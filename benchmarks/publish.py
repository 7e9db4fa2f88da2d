"""stub"""
def publish(results: object) -> None:
    """Stub."""
