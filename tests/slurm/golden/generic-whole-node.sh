#!/bin/bash
#SBATCH --job-name=repro-whole-node
#SBATCH --output=/results/.scratch/slurm/SUBMISSION/whole-node-%a.log
#SBATCH --open-mode=append
#SBATCH --time=01:00:00
#SBATCH --array=0-1%8
#SBATCH --requeue
#SBATCH --signal=B:USR1@90
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --exclusive

set -e
export OMP_NUM_THREADS=1
# srun no longer takes it from the job
export SRUN_CPUS_PER_TASK=1
# in the shell's place, so that Slurm's signals reach it
exec python -m repro.launch.slurm.element /results/.scratch/slurm/SUBMISSION/whole-node.json $SLURM_ARRAY_TASK_ID
