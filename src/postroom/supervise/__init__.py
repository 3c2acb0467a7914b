"""Several programs kept running as one: the processors, and those that the settings name."""
