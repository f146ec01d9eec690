#!/bin/bash
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
# Train on two machines: sbatch docs/slurm.sh. The run folder, the pictures and the cache
# (data.cache_dir) must be on a file system that both machines share. Two minutes before its time
# limit the job saves the run; submit it again to resume from that checkpoint.
set -euo pipefail
RUN=${RUN:-runs/slurm}
HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
GO_ON=(-c configs/photos.yaml data.root=pictures data.cache_dir=cache --out "$RUN")
if [ -e "$RUN/last.safetensors" ]; then
    GO_ON=(--resume "$RUN")
fi
srun .venv/bin/torchrun \
    --nnodes="$SLURM_NNODES" --nproc-per-node=auto --max-restarts=3 \
    --rdzv-backend=c10d --rdzv-endpoint="$HEAD:29500" --rdzv-id="$SLURM_JOB_ID" \
    train.py "${GO_ON[@]}"
