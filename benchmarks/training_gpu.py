"""Training on one GPU: against TRL at 0.5 B parameters, and Spectrum of an 8 B model.

pip install 'storm-exp[bench,gpu]'        and flash-attn, if TRL is to have it
python benchmarks/training_gpu.py trl        TRL packed with isolated documents against ours
python benchmarks/training_gpu.py spectrum   8 B, half of the matrices, 8 K context: tokens/s, MFU
python benchmarks/training_gpu.py            both
python benchmarks/training_gpu.py --tiny     both in miniature, on a CPU too: shows that it runs

Weights are random, in the sizes of Qwen2.5-0.5B and of Llama-3.1-8B; nothing is downloaded.
"""

from __future__ import annotations

import sys

import torch

from results import write_section
from training_gpu_spectrum import spectrum
from training_gpu_trl import WORK, against_trl

PARTS = {
    "trl": ("Training against TRL on a GPU, 0.5 B parameters", against_trl),
    "spectrum": ("Spectrum of an 8 B model on one GPU", spectrum),
}


def main(arguments: list[str]) -> None:
    """Measure the named parts, or both."""
    tiny = "--tiny" in arguments
    if not tiny and not torch.cuda.is_available():
        print("no CUDA device here: nothing measured (--tiny runs the same code on a CPU)")
        return
    WORK.mkdir(parents=True, exist_ok=True)
    for name in [name for name in arguments if name != "--tiny"] or list(PARTS):
        title, part = PARTS[name]
        body = part(tiny=tiny)
        if tiny:
            print(body)
        else:
            command = f"python benchmarks/training_gpu.py {name}"
            write_section(title, command, body, packages=("trl", "flash_attn", "liger_kernel"))


if __name__ == "__main__":
    main(sys.argv[1:])
