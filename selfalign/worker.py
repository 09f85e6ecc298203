"""One process of several that do a job together; selfalign.launching starts them."""

import sys
from pathlib import Path

from selfalign.assembly import perform
from selfalign.launching import work

if __name__ == "__main__":
    work(Path(sys.argv[1]), perform)
