"""One process of several that do a job together; selfalign.processes.launching starts them."""

import sys
from pathlib import Path

from selfalign import console
from selfalign.commands.hydra_app import perform
from selfalign.processes.launching import work

if __name__ == "__main__":
    console.prepare()
    work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), perform)
