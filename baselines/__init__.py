"""The methods, one a file. A new one is a file beside these and a line in `ALGORITHMS`."""

from baselines.algorithm import Algorithm
from baselines.dpsgd import DPSGD
from baselines.largebatch import LargeBatch
from baselines.sgp import SGP
from baselines.swarm import Swarm
from baselines.swarm_nonblocking import SwarmNonblocking

ALGORITHMS: dict[str, type[Algorithm]] = {
    "largebatch": LargeBatch,
    "dpsgd": DPSGD,
    "sgp": SGP,
    "swarm": Swarm,
    "swarm_nonblocking": SwarmNonblocking,
}
