"""The methods, one a file. A new one is a file beside these and a line in `ALGORITHMS`."""

from baselines.adpsgd import ADPSGD
from baselines.algorithm import Algorithm
from baselines.dpsgd import DPSGD
from baselines.largebatch import LargeBatch
from baselines.matcha import Matcha
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
}
