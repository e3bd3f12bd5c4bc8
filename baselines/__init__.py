"""The methods, one a file. A new one is a file beside these and a line in `ALGORITHMS`."""

from baselines.admm import ADMM
from baselines.adpsgd import ADPSGD
from baselines.algorithm import Algorithm
from baselines.downpour import Downpour
from baselines.dpsgd import DPSGD
from baselines.easgd import EASGD
from baselines.easgd_round_robin import EASGDRoundRobin
from baselines.easgd_synchronous import EASGDSynchronous
from baselines.largebatch import LargeBatch
from baselines.localsgd import LocalSGD
from baselines.matcha import Matcha
from baselines.mdownpour import MDownpour
from baselines.sequential import Sequential
from baselines.sgp import SGP
from baselines.swarm import Swarm
from baselines.swarm_nonblocking import SwarmNonblocking
from baselines.swarm_pull import SwarmPull
from baselines.swarm_quantized import SwarmQuantized

ALGORITHMS: dict[str, type[Algorithm]] = {
    "largebatch": LargeBatch,
    "dpsgd": DPSGD,
    "adpsgd": ADPSGD,
    "sgp": SGP,
    "matcha": Matcha,
    "swarm": Swarm,
    "swarm_nonblocking": SwarmNonblocking,
    "swarm_quantized": SwarmQuantized,
    "swarm_pull": SwarmPull,
    "easgd": EASGD,
    "easgd_synchronous": EASGDSynchronous,
    "easgd_round_robin": EASGDRoundRobin,
    "downpour": Downpour,
    "mdownpour": MDownpour,
    "admm": ADMM,
    "sequential": Sequential,
    "localsgd": LocalSGD,
}
