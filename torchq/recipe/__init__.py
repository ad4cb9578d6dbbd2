"""Recipes: a YAML file says what to do, :func:`run_recipe` does it."""

from torchq.recipe.flow import PRICE_STAGES as PRICE_STAGES
from torchq.recipe.flow import STAGES as STAGES
from torchq.recipe.flow import report_run as report_run
from torchq.recipe.flow import run_recipe as run_recipe
from torchq.recipe.flow import verify_run as verify_run
from torchq.recipe.load import LoadedRecipe as LoadedRecipe
from torchq.recipe.load import find as find
from torchq.recipe.load import load as load
from torchq.recipe.load import shipped as shipped
