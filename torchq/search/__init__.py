"""The search for the best heterogeneous precision: spaces, goals, searchers, the journal and the loop.

Start with :class:`Knob` and :class:`Space`, choose a goal, and hand them to :func:`run_search`.
"""

from torchq.search.autoqkeras import AutoQKerasSearch as AutoQKerasSearch
from torchq.search.autoqkeras import from_autoqkeras as from_autoqkeras
from torchq.search.ax import AxSearcher as AxSearcher
from torchq.search.base import SEARCHERS as SEARCHERS
from torchq.search.base import Searcher as Searcher
from torchq.search.blocks import BlocksSearcher as BlocksSearcher
from torchq.search.evaluation import Evaluation as Evaluation
from torchq.search.evaluation import TrialInfo as TrialInfo
from torchq.search.evolution import EvolutionSearcher as EvolutionSearcher
from torchq.search.exhaustive import ExhaustiveSearcher as ExhaustiveSearcher
from torchq.search.forgiving import ForgivingFactor as ForgivingFactor
from torchq.search.gaussian import GaussianSearcher as GaussianSearcher
from torchq.search.goal import GOALS as GOALS
from torchq.search.goal import Goal as Goal
from torchq.search.goal import Objective as Objective
from torchq.search.goal import Outcome as Outcome
from torchq.search.halving import HalvingSearcher as HalvingSearcher
from torchq.search.hyperband import HyperbandSearcher as HyperbandSearcher
from torchq.search.journal import Journal as Journal
from torchq.search.journal import read_journal as read_journal
from torchq.search.limits import Limit as Limit
from torchq.search.loop import run_search as run_search
from torchq.search.multi_objective import MultiObjective as MultiObjective
from torchq.search.pareto import hypervolume as hypervolume
from torchq.search.pareto import non_dominated as non_dominated
from torchq.search.pick import Pick as Pick
from torchq.search.pick import pick as pick
from torchq.search.random import RandomSearcher as RandomSearcher
from torchq.search.result import SearchResult as SearchResult
from torchq.search.space import Space as Space
from torchq.search.space_build import Filters as Filters
from torchq.search.space_build import build_space as build_space
from torchq.search.space_knob import Knob as Knob
from torchq.search.space_settings import Settings as Settings
from torchq.search.trial import Asked as Asked
from torchq.search.trial import Proposal as Proposal
from torchq.search.trial import Trial as Trial
