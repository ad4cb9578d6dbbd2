"""Many candidates trained as one program: :func:`fit_many`."""

from torchq.train.stacked.many import fit_many as fit_many
from torchq.train.stacked.report import StackReport as StackReport
