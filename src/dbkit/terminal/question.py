"""Ask a person on the terminal. The question goes to stderr, which is not what a command's output is piped from."""

import sys

YES, NO = ("y", "yes"), ("n", "no", "")


def ask_yes_or_no(question: str) -> bool:
    """Ask until the answer is yes or no; an empty line, or the end of input, is no.

    Raises KeyboardInterrupt at Ctrl-C.
    """
    while True:
        try:
            print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            print(file=sys.stderr)  # the terminal has shown ^C
            raise
        answer = line.strip().lower()
        if not line:
            print(file=sys.stderr)
        if answer in YES:
            return True
        if answer in NO:
            return False
        print("Type y or n.", file=sys.stderr)
