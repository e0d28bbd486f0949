"""Training: plan, schedule and diagnostics."""
