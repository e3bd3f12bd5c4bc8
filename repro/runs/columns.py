"""The fixed columns of a record's tables; a unit is the suffix of its name."""

SCHEMA_VERSION = 1

EPOCH_COLUMNS = (
    "epoch",  # collective passes over the data so far, samples / N
    "samples",  # training samples drawn by all workers together
    "steps",  # gradient steps of one worker; where workers take different numbers, their mean, rounded down
    "clock_s",  # the world's clock when the last worker got here (centre: rank 0); evaluation is off the clock
    "learning_rate",
    "train_loss",  # mini-batch losses since the last row, mean over steps and workers
    "evaluated_model",  # mean | centre | local_mean | local_worst (simulated: of 16 workers, evenly spaced, at most)
    "normalisation",  # recomputed | local | none: where the statistics of batch normalisation came from
    "test_loss",
    "test_top1_percent",
    "train_objective",
    "consensus_distance",  # sqrt(1/n sum_i ||x_i - mean||^2)
)

WORKER_COLUMNS = (
    "rank",
    "host",
    "steps",
    "samples",  # drawn by this worker
    "clock_s",
    "gradient_s",  # computing gradients, data included
    "wait_s",  # waiting for other workers
    "messages",
    "bytes_sent",
    "bytes_received",
)

THE_MODEL = ("mean", "centre")
"""What `evaluated_model` says in the rows of the model the paper speaks of: a record has one of them."""

MEASURED_TIMES = ("clock_s", "gradient_s", "wait_s", "host")
"""What may differ between two runs of the same spec of a synchronous algorithm in the MPI world."""
