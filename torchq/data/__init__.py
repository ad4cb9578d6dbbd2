"""Data sets: read, checked, split and standardised.

``load("jets")`` gives 60,000 SIMULATED jets that ship with the package; ``source="openml"`` the public ones.
"""

from torchq.data.dataset import Dataset as Dataset
from torchq.data.dataset import Split as Split
from torchq.data.dataset import standardise as standardise
from torchq.data.load import DATASETS as DATASETS
from torchq.data.load import load as load
from torchq.data.source import KINDS as KINDS
from torchq.data.source import Source as Source
from torchq.data.table import Table as Table
