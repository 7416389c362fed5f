"""An Optuna study: configuration, search space, objectives, samplers, storage and resumption."""
