"""``run.py`` with the network taken away: prints the first connection that is asked for.

``client_run.py ARGUMENT ...`` ends with 77 and one line, ``connects to ADDRESS``.
"""

import os
import sys
from typing import NoReturn

import grpc
from cerebras.appliance.cluster.client import ClusterManagementClient

from mediswift_cs.run import main


def refuse_grpc(target: str, *_: object, **__: object) -> NoReturn:
    stop(target)


def refuse_ping(client: ClusterManagementClient) -> NoReturn:
    stop(client.server)


def stop(address: str) -> NoReturn:
    print(f"connects to {address}", flush=True)
    # What the client would try next must not be reached.
    os._exit(77)


grpc.insecure_channel = refuse_grpc
grpc.secure_channel = refuse_grpc
ClusterManagementClient.validate_connectivity = refuse_ping

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
