"""What is declared: queues, the workers that empty them, and the registry that both fill."""
