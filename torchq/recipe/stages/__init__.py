"""The stages of a run; each is a function of the recipe and the run directory."""
