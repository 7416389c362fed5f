"""Everything that runs in a worker: data, models, losses, evaluation and the loops that train them."""
