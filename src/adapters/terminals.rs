//! Which processes have a terminal, where the kernel has no file that tells.

use super::process::SystemProcesses;
use crate::system::{Processes, SpawnSpec};
use std::collections::HashMap;

/// Which processes have a controlling terminal, as `ps -o pid=,tty=` tells; asked once for all of them. ps(1) of the
/// BSDs writes `??` for none.
pub(super) fn terminals(which: &[&str]) -> HashMap<u32, bool> {
    let args = which.iter().chain(&["-o", "pid=,tty="]).map(Into::into).collect();
    let said = SystemProcesses.capture(&SpawnSpec { program: "ps".into(), args, ..SpawnSpec::default() });
    said.map(|said| parse_terminals(&String::from_utf8_lossy(&said.stdout))).unwrap_or_default()
}

fn parse_terminals(said: &str) -> HashMap<u32, bool> {
    let row = |line: &str| {
        let (pid, terminal) = line.trim().split_once(char::is_whitespace)?;
        Some((pid.parse().ok()?, !terminal.trim_start().starts_with('?')))
    };
    said.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ps_tells_who_has_a_terminal() {
        let said = "    1 ??\n  501 ttys001 \n12345 ?\n  ??\n";
        assert_eq!(parse_terminals(said), HashMap::from([(1, false), (501, true), (12345, false)]));
    }
}
