"""``python -m postroom VERB``: the same as the command ``postroom``."""

import sys

from postroom.cli.main import main

sys.exit(main())
