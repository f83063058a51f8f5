"""Command line of scripts/sandbox."""

import fcntl
import json
import os
import sys
from pathlib import Path


def explain_interrupt(kind, error, trace):
    """Ctrl-C at any moment, even while modules are loaded, is one line."""
    if kind is not KeyboardInterrupt:
        sys.__excepthook__(kind, error, trace)
        return
    print("\ninterrupted; `scripts/sandbox up` continues, `scripts/sandbox down` removes", file=sys.stderr)
    sys.stderr.flush()
    os._exit(130)


sys.excepthook = explain_interrupt

from . import bring_up, faults, laptop, take_down  # noqa: E402
from .world import Refused, World, write_json  # noqa: E402

HELP = """\
A stand-in for the cloud on this machine: AWS API, the team's stack, an Aurora-like PostgreSQL behind a private
network, and instances with a real sshd.

usage: scripts/sandbox COMMAND [--name NAME] [...]

  up [--delay MS]     start everything (again: whatever is missing); MS is the one-way delay of the laptop's link
  down                remove everything that `up` made
  status              what runs; exit code 3 if something does not
  shell               a shell on the developer's laptop
  exec -- CMD...      run one command there
  leftovers           what devdb has left: resources, processes, ports, sockets; exit code 1 if anything
  env                 the same environment as export lines
  fault list          what can go wrong on request
  fault NAME [...]    make it go wrong;  fault clear  puts everything right

Several sandboxes run side by side under different names: --name, or DEVDB_SANDBOX (default: main).
Environment: DEVDB_BIN (path of a built devdb, put first on PATH), DEVDB_SANDBOX_DIR (where state is kept).
"""


def take_name(arguments):
    """Remove --name from the arguments, wherever it stands before `--`."""
    name = os.environ.get("DEVDB_SANDBOX") or "main"
    rest = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            return name, [*rest, word, *words]
        if word == "--name":
            name = next(words, "")
        elif word.startswith("--name="):
            name = word.removeprefix("--name=")
        else:
            rest.append(word)
    return name, rest


def take_delay(arguments):
    delay = 0.0
    words = iter(arguments)
    for word in words:
        value = next(words, "") if word == "--delay" else word.removeprefix("--delay=") if "=" in word else None
        if value is None or not word.startswith("--delay"):
            raise Refused(f"not understood: {word}", "scripts/sandbox --help")
        try:
            delay = float(value)
        except ValueError:
            raise Refused(f"--delay is a number of milliseconds, not '{value}'") from None
    return delay


def locked(world):
    """One `up` or `down` of a sandbox at a time."""
    world.base.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        file = open(world.base / f".{world.name}.lock", "w")
    except PermissionError:
        raise Refused(f"{world.base} was made by root", f"sudo rmdir {world.base}, or run this as root or with sudo") from None
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def check_same_kind(world):
    """A sandbox made with root is run with root, and the other way round."""
    if not world.exists():
        return
    made_by_root = (world.state / "world.json").stat().st_uid == 0
    if made_by_root and world.rootless:
        raise Refused(f"sandbox '{world.name}' was made by root", "run this as root or with sudo")
    if not made_by_root and not world.rootless:
        raise Refused(f"sandbox '{world.name}' was made without root", "DEVDB_SANDBOX_ROOTLESS=1 scripts/sandbox down")


def run(arguments):
    name, arguments = take_name(arguments)
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    world = World(name)
    check_same_kind(world)
    match verb:
        case "up":
            delay = take_delay(rest)
            with locked(world):
                bring_up.up(world, delay)
                write_json(world.state / "up.json", {"delay": delay})
        case "down":
            with locked(world) as lock:
                take_down.down(world)
                os.unlink(lock.name)
                take_down.remove_base(world)
        case "status":
            return 0 if take_down.status(world) else 3
        case "shell":
            laptop.shell(world)
        case "exec":
            command = rest[1:] if rest[:1] == ["--"] else rest
            if not command:
                raise Refused("exec needs a command", "scripts/sandbox exec -- CMD...")
            laptop.enter(world, command)
        case "leftovers":
            python = json.loads(world.endpoints_file.read_text())["python"] if world.endpoints_file.exists() else "python3"
            laptop.enter(world, [python, str(Path(__file__).parent.with_name("leftovers.py"))])
        case "env":
            laptop.print_environment(world)
        case "fault":
            faults.command(world, rest)
        case _:
            print(HELP, end="", file=sys.stderr)
            print(f"error: there is no command '{verb}'", file=sys.stderr)
            return 2
    return 0


def main():
    try:
        return run(sys.argv[1:])
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        if refused.hint:
            print(f"hint: {refused.hint}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has gone; the work is done all the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


sys.exit(main())
