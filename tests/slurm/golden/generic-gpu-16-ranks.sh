#!/bin/bash
#SBATCH --job-name=repro-16-ranks
#SBATCH --output=/results/.scratch/slurm/SUBMISSION/16-ranks-%a.log
#SBATCH --open-mode=append
#SBATCH --time=01:00:00
#SBATCH --array=0-1%8
#SBATCH --requeue
#SBATCH --signal=B:USR1@90
#SBATCH --nodes=4
#SBATCH --ntasks=16
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-task=1
#SBATCH --gpu-bind=single:1

set -e
export OMP_NUM_THREADS=16
# srun no longer takes it from the job
export SRUN_CPUS_PER_TASK=16
# in the shell's place, so that Slurm's signals reach it
exec python -m repro.launch.slurm.element /results/.scratch/slurm/SUBMISSION/16-ranks.json $SLURM_ARRAY_TASK_ID
