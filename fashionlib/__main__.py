"""``python -m fashionlib tag | download | cite``: see ``shop.commands``."""

import sys

try:
    from .shop.commands import main
except ModuleNotFoundError as error:
    sys.exit(f"this copy of the library is without {error.name}, which the command line needs")

if __name__ == "__main__":
    sys.exit(main())
