"""Float reference models by name."""

from torchq.models.jets import MODELS as MODELS
from torchq.models.jets import jets_mlp as jets_mlp
