"""Published data sets, read in their official layouts."""
