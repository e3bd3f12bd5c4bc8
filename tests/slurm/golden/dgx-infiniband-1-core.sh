#!/bin/bash
#SBATCH --job-name=repro-1-core
#SBATCH --output=/results/.scratch/slurm/SUBMISSION/1-core-%a.log
#SBATCH --open-mode=append
#SBATCH --time=30:00:00
#SBATCH --array=0-1%8
#SBATCH --requeue
#SBATCH --signal=B:USR1@90
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1

set -e
export OMP_NUM_THREADS=1
# srun no longer takes it from the job
export SRUN_CPUS_PER_TASK=1
# in the shell's place, so that Slurm's signals reach it
exec python -m repro.launch.slurm.element /results/.scratch/slurm/SUBMISSION/1-core.json $SLURM_ARRAY_TASK_ID
