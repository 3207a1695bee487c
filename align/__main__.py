"""`python -m align`: the command line without its script."""

from align.cli import main

if __name__ == "__main__":
    main()
