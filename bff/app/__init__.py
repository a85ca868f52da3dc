"""How is the application built? `factory` has every endpoint, `services` what they work with."""
