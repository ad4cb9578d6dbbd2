"""Small scripts that run other packages, each in an environment of its own, for figures from one run."""
