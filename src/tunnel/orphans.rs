//! ssh masters whose supervisor was killed. Only what carries a control path of our own folder is touched.

use super::TunnelFiles;
use crate::system::{ProcessInfo, Processes};
use std::fs::DirEntry;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(2);
/// ssh ends within a few milliseconds, and clients may be waiting.
const POLL: Duration = Duration::from_millis(5);

/// The control path of an ssh of this user that was started with one in `folder`. The folder is private to one
/// environment (0700, owner checked) and the caller holds that environment's lock, so nobody else can own such an ssh.
pub fn control_path<'a>(process: &'a ProcessInfo, folder: &Path) -> Option<&'a Path> {
    let is_ssh = process.command.first().is_some_and(|program| program.rsplit('/').next() == Some("ssh"));
    let mut words = process.command.iter().skip_while(|word| *word != "-S").skip(1);
    let path = words.next().map(Path::new).filter(|_| process.own && is_ssh)?;
    path.starts_with(folder).then_some(path)
}

/// Ends every orphan of this folder and removes it, but for the one that goes on; returns the pids that were ended. A
/// folder that is not ours any more, because it vanished and somebody took its name, is left alone.
pub(super) async fn sweep(
    processes: &dyn Processes,
    files: &TunnelFiles,
    folder: &Path,
    goes_on: Option<u32>,
) -> Vec<u32> {
    let is_of_folder = |process: &ProcessInfo| control_path(process, folder).is_some();
    let all = processes.list().into_iter().filter(is_of_folder);
    let (kept, mut orphans): (Vec<_>, Vec<_>) = all.partition(|process| Some(process.pid) == goes_on);
    let homes: Vec<_> = kept.iter().filter_map(|ssh| control_path(ssh, folder)?.parent()).collect();
    let pids = orphans.iter().map(|orphan| orphan.pid).collect();
    for orphan in &orphans {
        let _ = processes.terminate(orphan.pid, orphan.started_at);
    }
    let limit = Instant::now() + PATIENCE;
    loop {
        orphans.retain(|orphan| processes.find(orphan.pid).is_some_and(|found| found.started_at == orphan.started_at));
        if orphans.is_empty() {
            break;
        }
        if Instant::now() >= limit {
            for orphan in &orphans {
                let _ = processes.kill(orphan.pid, orphan.started_at);
            }
            break;
        }
        sleep(POLL).await;
    }
    if files.owns(folder) {
        empty(folder, &homes);
        let _ = std::fs::remove_dir(folder);
    }
    pids
}

/// How many ssh have a home in this folder, or had one that was left.
pub(super) fn homes(folder: &Path) -> usize {
    let is_home = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    std::fs::read_dir(folder).into_iter().flatten().flatten().filter(is_home).count()
}

/// Removes what is in the folder, except these.
fn empty(folder: &Path, homes: &[&Path]) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if homes.contains(&path.as_path()) {
            continue;
        }
        // Not following links: `file_type` of a link is a link.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let _ = if is_folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::FakeProcesses;

    fn ssh(pid: u32, own: bool, command: &str) -> ProcessInfo {
        ProcessInfo {
            pid,
            started_at: 100,
            name: "ssh".to_owned(),
            command: command.split(' ').map(str::to_owned).collect(),
            user: None,
            own,
            ..ProcessInfo::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_ssh_with_a_control_path_of_ours_is_ended() {
        let (state, runtime) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/tmp").unwrap());
        let files = TunnelFiles::new(state.path());
        let folder = files.socket_folder(Some(runtime.path())).unwrap();
        let ours = format!("{}/.ssh-Ab/master", folder.display());
        let processes = FakeProcesses::default();
        processes.add(ssh(1, true, &format!("ssh -E log -S {ours} -M -f -N i-0abc")));
        processes.add(ssh(2, true, "ssh -S /tmp/devdb-0/ffffffff/.ssh-Ab/master -M i-0abc"));
        processes.add(ssh(3, true, "ssh -fNL 5432:db:5432 ec2-user@bastion"));
        processes.add(ssh(4, false, &format!("ssh -S {ours} -M")));
        processes.add(ssh(5, true, &format!("vim -S {ours}")));
        std::fs::create_dir(folder.join(".ssh-Ab")).unwrap();
        assert_eq!(sweep(&processes, &files, &folder, None).await, [1]);
        assert_eq!(processes.ended(), [1]);
        assert!(!folder.exists());
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_goes_on_keeps_its_home() {
        let (state, runtime) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/tmp").unwrap());
        let files = TunnelFiles::new(state.path());
        let folder = files.socket_folder(Some(runtime.path())).unwrap();
        let processes = FakeProcesses::default();
        for (pid, home) in [(1, ".ssh-Ab"), (2, ".ssh-Cd")] {
            std::fs::create_dir(folder.join(home)).unwrap();
            processes.add(ssh(pid, true, &format!("ssh -S {}/{home}/master -M", folder.display())));
        }
        std::fs::write(folder.join("devdb.sock"), "").unwrap();
        assert_eq!(homes(&folder), 2);
        assert_eq!(sweep(&processes, &files, &folder, Some(2)).await, [1]);
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!((processes.ended(), left), (vec![1], vec![".ssh-Cd".into()]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_whose_name_somebody_took_is_not_emptied_but_its_ssh_is_ended() {
        let (state, runtime) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/tmp").unwrap());
        let files = TunnelFiles::new(state.path());
        let folder = files.socket_folder(Some(runtime.path())).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("letter"), "dear").unwrap();
        std::fs::remove_dir(&folder).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &folder).unwrap();
        let processes = FakeProcesses::default();
        processes.add(ssh(1, true, &format!("ssh -S {}/.ssh-Ab/master -M", folder.display())));
        assert_eq!(sweep(&processes, &files, &folder, None).await, [1]);
        assert!(elsewhere.path().join("letter").exists());
    }
}
