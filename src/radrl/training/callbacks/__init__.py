"""What stops or warns a run while it trains."""
