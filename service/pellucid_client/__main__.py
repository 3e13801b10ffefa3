"""`python -m pellucid_client` is the `pellucid` command."""

import sys

from pellucid_client.cli import main

sys.exit(main())
