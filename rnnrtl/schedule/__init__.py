"""Which operation in which clock cycle: schedules as data."""
