"""Greets somebody, as often as asked."""

import argparse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("who", nargs="?", default="world")
    parser.add_argument("--times", type=int, default=1)
    options = parser.parse_args()
    for _ in range(options.times):
        print(f"Hello, {options.who}!")


if __name__ == "__main__":
    main()
