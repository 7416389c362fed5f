"""How often, and how fast, an agent reaches fixed targets."""
