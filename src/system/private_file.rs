//! Writing files that only their owner may read.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Result, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const MODE: u32 = 0o600;

fn open(options: &mut OpenOptions, path: &Path) -> Result<File> {
    let file = options.create(true).mode(MODE).open(path)?;
    // One that an earlier release made may be open to all.
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

/// Opens a file to write at its end; it is made where there is none.
///
/// # Errors
/// Those of open(2).
pub fn append_private(path: &Path) -> Result<File> {
    open(OpenOptions::new().append(true), path)
}

/// Writes a file, and renames it into place: who reads at this moment reads the old one or the new one, also while
/// another process writes it.
///
/// # Errors
/// Those of open(2), write(2) and rename(2).
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.new", std::process::id()));
    open(OpenOptions::new().write(true).truncate(true), draft.as_ref())?.write_all(bytes)?;
    std::fs::rename(draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_its_owners_alone_whatever_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        for name in ["log", "json"] {
            let path = folder.path().join(name);
            std::fs::write(&path, "old\n").unwrap();
            std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        }
        let (log, json, fresh) = (folder.path().join("log"), folder.path().join("json"), folder.path().join("fresh"));
        append_private(&log).unwrap().write_all(b"new\n").unwrap();
        write_private(&json, b"new\n").unwrap();
        append_private(&fresh).unwrap();
        assert_eq!([&log, &json, &fresh].map(|path| mode(path)), [0o600; 3]);
        assert_eq!([log, json].map(|path| std::fs::read_to_string(path).unwrap()), ["old\nnew\n", "new\n"]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "no draft is left");
    }
}
