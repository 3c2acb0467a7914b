"""``python -m postroom.execute SOCKET PAGE``: started by the consumer only; the arguments are descriptors."""

import sys

from .executor import main

if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
