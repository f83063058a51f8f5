"""The developer's laptop: environment and the way into its namespace."""

import os
import shlex
import sys
from pathlib import Path

from .world import Refused

# Of the caller's environment these are left out: they would lead out of the sandbox or into the caller's accounts.
DROPPED_PREFIXES = ("AWS_", "PG", "SSH_", "GIT_", "SUDO_", "XDG_")
DROPPED = {
    "DATABASE_URL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "DEVDB_SANDBOX_DIR", "DEVDB_SANDBOX_CALLER_PATH",
}  # fmt: skip


def settings(world):
    return {
        "AWS_ENDPOINT_URL": world.aws_endpoint,
        "AWS_ACCESS_KEY_ID": "sandbox-ada",
        "AWS_SECRET_ACCESS_KEY": "sandbox-secret",
        "AWS_SHARED_CREDENTIALS_FILE": str(world.credentials),
        "AWS_REGION": world.region,
        "AWS_DEFAULT_REGION": world.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(world.home),
        "XDG_RUNTIME_DIR": str(world.runtime),
        "DEVDB_ALIAS": "ada",
        "DEVDB_TRUSTED_CONFIG": str(world.project / "devdb.toml"),
        "DEVDB_SANDBOX": world.name,
        "DEVDB_SANDBOX_ENDPOINTS": str(world.endpoints_file),
    }


def search_path():
    path = os.environ.get("DEVDB_SANDBOX_CALLER_PATH") or os.environ.get("PATH", "")
    binary = os.environ.get("DEVDB_BIN")
    return f"{Path(binary).resolve().parent}:{path}" if binary else path


def environment(world):
    kept = {
        key: value for key, value in os.environ.items() if key not in DROPPED and not key.startswith(DROPPED_PREFIXES)
    }
    return {**kept, **settings(world), "PATH": search_path(), "USER": world.owner.name, "LOGNAME": world.owner.name}


def print_environment(world):
    """Lines for `eval`, to use the API from a shell that already is in the laptop's namespace."""
    for key in sorted(key for key in os.environ if key in DROPPED or key.startswith(("AWS_", "PG"))):
        if key not in settings(world):
            print(f"unset {key}")
    print("unset XDG_STATE_HOME")
    for key, value in settings(world).items():
        print(f"export {key}={shlex.quote(value)}")
    if os.environ.get("DEVDB_BIN"):
        print(f'export PATH={shlex.quote(str(Path(os.environ["DEVDB_BIN"]).resolve().parent))}:"$PATH"')


def enter(world, command):
    """Become the command: its exit code, stdin and stdout are untouched."""
    if not world.project.exists():
        raise Refused(f"sandbox '{world.name}' is not up", "scripts/sandbox up")
    if world.rootless:
        prefix = rootless_prefix(world)
    else:
        prefix = ["ip", "netns", "exec", world.laptop, "setpriv"]
        if world.owner.uid != 0:
            prefix += [f"--reuid={world.owner.uid}", f"--regid={world.owner.gid}", "--init-groups"]
        prefix.append("--")
    os.chdir(world.project)
    surroundings = environment(world)
    surroundings["PWD"] = str(world.project)
    surroundings.pop("OLDPWD", None)
    sys.stdout.flush()
    os.execvpe(prefix[0] if prefix else command[0], [*prefix, *command], surroundings)


def rootless_prefix(world):
    """A private /etc/hosts for this process, where user namespaces are allowed."""
    return [str(Path(__file__).with_name("with_hosts.sh")), str(world.laptop_hosts)]


def shell(world):
    program = os.environ.get("SHELL") or "/bin/bash"
    name = Path(program).name
    print(f"sandbox '{world.name}': you are on the developer's laptop; `exit` leaves", file=sys.stderr)
    # The caller's own start-up files are not read: HOME is the sandbox's.
    enter(world, [program, "-i"] if sys.stdin.isatty() and name == "bash" else [program])
