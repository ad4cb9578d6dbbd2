"""Training, metrics and checkpoints for any classifier that is an ``nn.Module``."""

from torchq.train.checkpoint import load_state as load_state
from torchq.train.checkpoint import load_weights as load_weights
from torchq.train.checkpoint import save_state as save_state
from torchq.train.checkpoint import save_weights as save_weights
from torchq.train.clip import Clip as Clip
from torchq.train.fade_in import fade_in as fade_in
from torchq.train.history import EpochRecord as EpochRecord
from torchq.train.history import History as History
from torchq.train.initialise import initialise as initialise
from torchq.train.loop import AfterStep as AfterStep
from torchq.train.loop import fit as fit
from torchq.train.metrics import Auc as Auc
from torchq.train.metrics import Roc as Roc
from torchq.train.metrics import accuracy as accuracy
from torchq.train.metrics import auc as auc
from torchq.train.metrics import roc as roc
from torchq.train.predict import predict_logits as predict_logits
