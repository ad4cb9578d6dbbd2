"""AutoQ: a float network, samples, a space and a goal in; the best quantized network, trained, out."""

from torchq.autoq.autoq import AutoQResult as AutoQResult
from torchq.autoq.autoq import autoq as autoq
from torchq.autoq.candidate import candidate as candidate
from torchq.autoq.evaluation import TrainAndPrice as TrainAndPrice
from torchq.autoq.evaluation import Trained as Trained
from torchq.autoq.references import BF as BF
from torchq.autoq.references import Q6 as Q6
from torchq.autoq.references import Reference as Reference
from torchq.autoq.reproduce import reproduce as reproduce
from torchq.autoq.training import Training as Training
