#!/bin/bash
#SBATCH --job-name=repro-16-ranks
#SBATCH --output=/results/.scratch/slurm/SUBMISSION/16-ranks-%a.log
#SBATCH --open-mode=append
#SBATCH --time=30:00:00
#SBATCH --array=0-1%8
#SBATCH --requeue
#SBATCH --signal=B:USR1@90
#SBATCH --nodes=16
#SBATCH --ntasks=16
#SBATCH --cpus-per-task=32
#SBATCH --gres=gpu:8

set -e
export OMP_NUM_THREADS=32
# srun no longer takes it from the job
export SRUN_CPUS_PER_TASK=32
# in the shell's place, so that Slurm's signals reach it
exec python -m repro.launch.slurm.element /results/.scratch/slurm/SUBMISSION/16-ranks.json $SLURM_ARRAY_TASK_ID
