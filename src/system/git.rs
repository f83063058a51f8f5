//! The one way to ask git. It is started at the top of a work tree that is found here, never inside a folder that a
//! repository brought along (such a folder may itself be a bare repository), and with nothing of that repository's own
//! configuration that can run a program.

use super::{Gets, SpawnSpec};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Said on the command line, where it wins over every file. The repository's `filter.*` have names of their own and are
/// not here: nothing may be asked that runs them. Three names are here, because gitattributes(5) writes `filter=set` as it
/// writes `filter`: who asks cannot tell the program from none.
const SETTINGS: &[&str] = &[
    // Only what holds `.git` is a repository.
    "safe.bareRepository=explicit",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.pager=cat",
    "core.editor=false",
    "core.askPass=false",
    "core.sshCommand=false",
    "core.alternateRefsCommand=false",
    "credential.helper=",
    "diff.external=",
    "log.showSignature=false",
    "gpg.program=false",
    "gpg.openpgp.program=false",
    "gpg.x509.program=false",
    "gpg.ssh.program=false",
    "protocol.allow=never",
    "filter.set.clean=",
    "filter.set.process=",
    "filter.set.required=false",
    "filter.unset.clean=",
    "filter.unset.process=",
    "filter.unset.required=false",
    "filter.unspecified.clean=",
    "filter.unspecified.process=",
    "filter.unspecified.required=false",
];

/// The top of the work tree that a folder lies in: it holds `.git`, a folder or (a linked work tree, a submodule) a file.
pub fn work_tree(folder: &Path) -> Option<PathBuf> {
    // The folder itself may be a symbolic link, and git counts from where it leads.
    let folder = folder.canonicalize().ok()?;
    let holds_git =
        |folder: &&Path| folder.join(".git").metadata().is_ok_and(|found| found.is_dir() || found.is_file());
    folder.ancestors().find(holds_git).map(Path::to_owned)
}

/// A question to git at the top of a work tree, or about its owner's settings in any folder.
pub fn git(top: &Path, words: impl IntoIterator<Item = OsString>) -> SpawnSpec {
    let settings = SETTINGS.iter().flat_map(|setting| ["-c", setting]).map(Into::into);
    let mut env: Vec<(OsString, OsString)> = [
        // A question must not wait for, or leave, a lock of the index; its messages are read.
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("LC_ALL", "C"),
        // What a partial clone lacks is not fetched: a remote names programs. The second is for a git before 2.45.
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_ALLOW_PROTOCOL", ""),
        ("GIT_TERMINAL_PROMPT", "0"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .to_vec();
    // Wins over `core.worktree`.
    env.push(("GIT_WORK_TREE".into(), top.into()));
    env.extend(top.parent().map(|above| ("GIT_CEILING_DIRECTORIES".into(), above.into())));
    SpawnSpec {
        program: "git".into(),
        args: settings.chain(["--no-pager".into()]).chain(words).collect(),
        gets: Gets::Git,
        env,
        cwd: Some(top.to_owned()),
        ..SpawnSpec::default()
    }
}
