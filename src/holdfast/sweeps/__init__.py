"""Experiments: named sets of runs over parameters, their index, and running them."""

from holdfast.sweeps._experiment import Experiment
from holdfast.sweeps._outcome import Outcome
from holdfast.sweeps._reader import RUNS, ExperimentReader

__all__ = ["RUNS", "Experiment", "ExperimentReader", "Outcome"]
