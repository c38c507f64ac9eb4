"""What this machine is, and what on it will blur a measurement."""
