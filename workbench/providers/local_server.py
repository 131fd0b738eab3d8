"""The child process that runs a local model: ``python -m workbench.providers.local_server``.

It reads one line of JSON from standard input (so that its key stands in no process list), serves
llama.cpp's HTTP server on a free port of 127.0.0.1, writes one line of JSON with its URL, and ends as
soon as its parent is gone. The parent's end is seen by the end of standard input; PR_SET_PDEATHSIG
would fire when the thread that started us ends.
"""

from __future__ import annotations

import json
import os
import select
import sys

__all__ = ["main"]

_LOOK_AGAIN_SECONDS = 1.0
_WARNINGS = 2  # llama.cpp's verbosity: 3 writes ten lines for each call


def main() -> None:
    """Serve until the parent closes standard input or is gone."""
    parent = os.getppid()
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever llama.cpp prints belongs to the log
    order = json.loads(sys.stdin.buffer.readline())
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["path"]
    params.model_alias = {order["name"]}
    params.api_keys = [order["key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.cors_origins = ""  # no web page may talk to it
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = _WARNINGS
    # More threads than free cores slow it tenfold; more slots gain nothing; either cache changes texts
    # between two equal calls and takes memory.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order["threads"]
    params.n_parallel = 1
    params.n_ctx = order["context"]
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.fit_params = False
    server = xllamacpp.Server(params)
    os.write(answer, json.dumps({"url": server.listening_address}).encode() + b"\n")
    while os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin], [], [], _LOOK_AGAIN_SECONDS)
        if readable and not os.read(0, 1):
            break
    os._exit(0)  # llama.cpp's threads are of no use any more, and joining them takes seconds


if __name__ == "__main__":
    main()
