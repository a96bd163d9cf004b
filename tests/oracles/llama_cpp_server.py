"""A program for the environment `llama_cpp`: llama.cpp's own server, until standard input ends.

python llama_cpp_server.py JSON with {model, context, exact}; the first line that it writes is where
it listens. It imports nothing of ours.
"""

import json
import os
import sys

import xllamacpp

settings = json.loads(sys.argv[1])
params = xllamacpp.CommonParams()
params.model.path = settings["model"]
params.n_ctx = settings["context"]
params.n_parallel, params.port, params.n_gpu_layers, params.verbosity = 1, 0, 0, 0
params.warmup, params.use_jinja = False, True
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
if settings["exact"]:  # keys and values in 32 bits, and attention that does not round them to 16
    params.cache_type_k = params.cache_type_v = 0
    params.flash_attn_type = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
os._exit(0)
