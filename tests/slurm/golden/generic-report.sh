#!/bin/bash
#SBATCH --job-name=repro-report
#SBATCH --output=/results/.scratch/slurm/SUBMISSION/report.log
#SBATCH --open-mode=append
#SBATCH --time=00:30:00
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1

set -e
export OMP_NUM_THREADS=1
# srun no longer takes it from the job
export SRUN_CPUS_PER_TASK=1
# in the shell's place, so that Slurm's signals reach it
exec python -m repro.cli report --results /results
