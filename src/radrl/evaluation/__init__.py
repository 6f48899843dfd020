"""One evaluation for all models: metrics from the scorers, intervals over patients, baselines, a comparison."""
