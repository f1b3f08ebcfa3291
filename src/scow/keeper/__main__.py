"""Start of the keeper: `python -IS …/keeper/__main__.py RUN_DIR`, with the listening socket as descriptor 3."""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from scow.keeper.server import main

    main(sys.argv[1])
