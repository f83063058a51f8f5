"""The demo project: what a team that uses devdb would have in its repository."""

import os
import shutil

from .processes import run
from .world import SCRIPTS


def render(world):
    """Copy it once; what the developer changed since stays."""
    if (world.project / ".git").exists():
        return
    fresh = world.state / "project.new"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(world.project, ignore_errors=True)
    shutil.copytree(SCRIPTS / "project", fresh)
    settings = fresh / "devdb.toml"
    text = settings.read_text()
    text = text.replace("{{ca_file}}", str(world.ca_file)).replace("{{echo_url}}", world.echo_url)
    if world.rootless:
        text += (
            "\n# The sandbox runs without root: port 22 is out of reach.\n[environment.dev.bastion]\n"
            f'ssh_port = {world.bastion_ssh_port}\nssh_user = "ec2-user"\n'
        )
    settings.write_text(text)
    git = ["git", "-C", fresh]
    quiet = {"env": {"PATH": os.environ["PATH"], "HOME": str(world.home), "GIT_CONFIG_NOSYSTEM": "1"}}
    run(*git, "init", "--quiet", "--initial-branch=main", **quiet)
    run(*git, "config", "user.name", "Ada Lovelace", **quiet)
    run(*git, "config", "user.email", "ada@example.com", **quiet)
    run(*git, "add", "--all", **quiet)
    run(*git, "commit", "--quiet", "--message", "Shop: schema and settings", **quiet)
    if os.geteuid() == 0 and world.owner.uid != 0:
        run("chown", "-R", f"{world.owner.uid}:{world.owner.gid}", fresh)
    fresh.rename(world.project)
