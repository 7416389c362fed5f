"""Laws of the command that judges a detector: what it writes, what it prints, and what it refuses."""



