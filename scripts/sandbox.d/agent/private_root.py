"""The private root of an instance: what it sees as its machine. Built in the instance's own mount namespace."""

import os
import shutil
import subprocess

from . import cloud_init

EC2_USER_ID = 1000
STAND_IN_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stand_in.py")
STAND_INS = (
    "usr/bin/systemctl", "usr/sbin/poweroff", "usr/sbin/halt", "usr/sbin/reboot", "usr/sbin/shutdown",
    "usr/bin/cloud-init",
)  # fmt: skip


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def build(folder, facts):
    """The machine's files below, what this instance writes above; nobody's homes, no host keys."""
    root, upper, work = (f"{folder}/{name}" for name in ("root", "upper", "work"))
    for path in (root, upper, work, f"{folder}/home/ec2-user", f"{folder}/run"):
        os.makedirs(path, exist_ok=True)
    # A private copy of the folder's mount: everything below disappears with this mount namespace.
    mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", root)
    mount("-t", "proc", "proc", f"{root}/proc")
    mount("--rbind", "/dev", f"{root}/dev")
    for path in ("/run", "/tmp", "/root", "/var/tmp"):
        mount("-t", "tmpfs", "-o", "mode=1777" if path.endswith("tmp") else "mode=755", "tmpfs", f"{root}{path}")
    mount("--bind", f"{folder}/home", f"{root}/home")
    os.makedirs(f"{root}/run/sandbox")
    mount("--bind", f"{folder}/run", f"{root}/run/sandbox")
    mount("--bind", facts["hosts_file"], f"{root}/etc/hosts")
    install_stand_ins(root)
    os.chroot(root)
    os.chdir("/")


def build_unprivileged(folder, facts):
    """Without root: the machine's /usr, everything else this instance's own, all owned by the one user."""
    root = f"{folder}/root"
    for path in ("usr", "dev", "proc", "run", "tmp", "etc/ssh", "var/log", "var/lib", "root", "home/ec2-user"):
        os.makedirs(f"{root}/{path}", exist_ok=True)
    for link in ("bin", "sbin", "lib", "lib64"):
        if os.path.islink(f"/{link}") and not os.path.lexists(f"{root}/{link}"):
            os.symlink(os.readlink(f"/{link}"), f"{root}/{link}")
    for name in ("nsswitch.conf", "ld.so.cache", "protocols", "services", "localtime", "profile", "bash.bashrc"):
        if os.path.exists(f"/etc/{name}") and not os.path.exists(f"{root}/etc/{name}"):
            shutil.copyfile(f"/etc/{name}", f"{root}/etc/{name}")
    if os.path.isdir("/etc/alternatives") and not os.path.isdir(f"{root}/etc/alternatives"):
        shutil.copytree("/etc/alternatives", f"{root}/etc/alternatives", symlinks=True)
    local = f"{folder}/local"
    os.makedirs(f"{local}/bin", exist_ok=True)
    os.makedirs(f"{local}/sbin", exist_ok=True)
    open(f"{root}/etc/hosts", "a").close()
    mount("--rbind", "/usr", f"{root}/usr")
    mount("--bind", local, f"{root}/usr/local")
    mount("--rbind", "/dev", f"{root}/dev")
    mount("-t", "proc", "proc", f"{root}/proc")
    mount("-t", "tmpfs", "tmpfs", f"{root}/run")
    os.makedirs(f"{root}/run/sandbox")
    mount("--bind", f"{folder}/run", f"{root}/run/sandbox")
    mount("--bind", facts["hosts_file"], f"{root}/etc/hosts")
    for path in STAND_INS:
        target = f"{local}/bin/{os.path.basename(path)}"
        shutil.copyfile(STAND_IN_SOURCE, target)
        os.chmod(target, 0o755)
        if os.path.exists(f"/{path}"):
            mount("--bind", target, f"{root}/{path}")
    os.chroot(root)
    os.chdir("/")


def install_stand_ins(root):
    with open(STAND_IN_SOURCE) as file:
        text = file.read()
    for path in STAND_INS:
        target = f"{root}/{path}"
        if os.path.lexists(target):
            os.unlink(target)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT, 0o755), "w") as file:
            file.write(text)
    # The kernel is shared: there are no modules to load, and a setting that a namespace may not change is ignored.
    sysctl = f"{root}/usr/sbin/sysctl"
    if os.path.exists(sysctl) and not os.path.exists(f"{sysctl}.real"):
        os.rename(sysctl, f"{sysctl}.real")
    forgiving = '#!/bin/sh\n[ ! -x /usr/sbin/sysctl.real ] || /usr/sbin/sysctl.real "$@"\nexit 0\n'
    for path, text in ((sysctl, forgiving), (f"{root}/usr/sbin/modprobe", "#!/bin/sh\nexit 0\n")):
        if os.path.lexists(path):
            os.unlink(path)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o755), "w") as file:
            file.write(text)


def make_user(rootless):
    """ec2-user as on Amazon Linux; accounts of the machine's people do not exist here."""
    if rootless:
        # sshd of an ordinary user lets in that user only; here its name is ec2-user.
        user, group = os.getuid(), os.getgid()
        with open("/etc/passwd", "w") as file:
            file.write("root:x:0:0:root:/root:/bin/bash\n")
            file.write(f"ec2-user:x:{user}:{group}:EC2 Default User:/home/ec2-user:/bin/bash\n")
        with open("/etc/group", "w") as file:
            file.write(f"root:x:0:\nec2-user:x:{group}:\n")
        return

    def system_lines(path):
        with open(path) as file:
            return [line for line in file.read().splitlines() if line]

    people = {line.split(":")[0] for line in system_lines("/etc/passwd") if 1000 <= int(line.split(":")[2]) < 60000}

    def rewrite(path, extra, mode):
        kept = [line for line in system_lines(path) if line.split(":")[0] not in people | {"ec2-user"}]
        with open(path, "w") as file:
            file.write("\n".join([*kept, extra]) + "\n")
        os.chmod(path, mode)

    rewrite("/etc/passwd", f"ec2-user:x:{EC2_USER_ID}:{EC2_USER_ID}:EC2 Default User:/home/ec2-user:/bin/bash", 0o644)
    # "*" and not "!": without PAM sshd takes "!" for a locked account and refuses even a key.
    rewrite("/etc/shadow", "ec2-user:*:19000:0:99999:7:::", 0o640)
    rewrite("/etc/group", f"ec2-user:x:{EC2_USER_ID}:", 0o644)
    os.makedirs("/home/ec2-user", exist_ok=True)
    os.chown("/home/ec2-user", EC2_USER_ID, EC2_USER_ID)
    os.chmod("/home/ec2-user", 0o700)
    if os.path.isdir("/etc/sudoers.d"):
        cloud_init.write_key("/etc/sudoers.d/90-cloud-init-users", "ec2-user ALL=(ALL) NOPASSWD:ALL", 0o440)
