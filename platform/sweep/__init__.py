"""Run a sweep with Ray Tune: cost estimate, runner, progress, disk budget, summary, reproduction."""
