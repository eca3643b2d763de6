"""``completion``: the lines a shell reads to complete our words."""

import sys

import click
from click.shell_completion import get_completion_class

from reactor.errors import UsageError

PROGRAM = "voxyz-reactor"
VARIABLE = "_VOXYZ_REACTOR_COMPLETE"  # the name click derives from the program's
SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="complete words in bash, zsh or fish")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what SHELL reads to complete the words of voxyz-reactor.

    \b
    bash:  eval "$(voxyz-reactor completion bash)"       in ~/.bashrc
    zsh:   eval "$(voxyz-reactor completion zsh)"        in ~/.zshrc, after compinit
    fish:  voxyz-reactor completion fish | source        in ~/.config/fish/config.fish
    """
    sys.stdout.write(script(shell))


def script(shell: str) -> str:
    """The lines for ``shell``, the same on every machine."""
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"words cannot be completed in {shell}: choose one of {', '.join(SHELLS)}")
    return kind(click.Command(PROGRAM), {}, PROGRAM, VARIABLE).source().strip() + "\n"
