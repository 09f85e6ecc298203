"""``python -m selfalign.convert_features``: the earlier name of ``selfalign convert``."""

from selfalign.commands.convert import main

if __name__ == "__main__":
    main()
