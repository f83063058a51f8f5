//! Reading what others wrote: a file of a clone may be a pipe that never ends, a device, or a link to a file of this
//! person that must not be published.

use std::fs::{FileType, OpenOptions};
use std::io::{Error, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// What a symbolic link in a file's place means. Links among the folders above it are followed in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// The file that it leads to.
    Followed,
    /// No file.
    Refused,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum PlainFileError {
    #[error("it is {what} and no regular file")]
    NotPlain { what: &'static str },
    #[error("it is longer than {longest} bytes")]
    TooLong { longest: u64 },
    #[error(transparent)]
    Unreadable(#[from] Error),
}

impl From<PlainFileError> for Error {
    fn from(error: PlainFileError) -> Self {
        match error {
            PlainFileError::Unreadable(error) => error,
            error => Self::other(error),
        }
    }
}

/// What this is, where it is no regular file.
pub fn oddity(kind: FileType) -> Option<&'static str> {
    [
        (kind.is_file(), None),
        (kind.is_symlink(), Some("a symbolic link")),
        (kind.is_dir(), Some("a folder")),
        (kind.is_fifo(), Some("a pipe")),
        (kind.is_socket(), Some("a socket")),
        (true, Some("a device")),
    ]
    .into_iter()
    .find_map(|(is_it, what)| is_it.then_some(what))
    .flatten()
}

/// Reads a regular file of at most `longest` bytes.
///
/// # Errors
/// [`PlainFileError`]; nothing that is no regular file is waited for, or read.
pub fn read_plain(path: &Path, links: Links, longest: u64) -> Result<Vec<u8>, PlainFileError> {
    let refuse = |kind| oddity(kind).map_or(Ok(()), |what| Err(PlainFileError::NotPlain { what }));
    let (about, no_follow) = match links {
        Links::Followed => (path.metadata()?, rustix::fs::OFlags::empty()),
        Links::Refused => (path.symlink_metadata()?, rustix::fs::OFlags::NOFOLLOW),
    };
    // Before it is opened, because opening is what some devices act upon; and again, because it may be another one by now.
    refuse(about.file_type())?;
    let flags = no_follow | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let about = file.metadata()?;
    refuse(about.file_type())?;
    if about.len() > longest {
        return Err(PlainFileError::TooLong { longest });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default());
    // It may grow meanwhile, and some file systems do not know how long a file is.
    file.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest { Err(PlainFileError::TooLong { longest }) } else { Ok(bytes) }
}

/// Writes a regular file where none lies, or over one. A symbolic link in its place may be a clone's, and lead to a file of
/// this person: it is refused.
///
/// # Errors
/// [`PlainFileError`].
pub fn write_plain(path: &Path, bytes: &[u8]) -> Result<(), PlainFileError> {
    let refuse = |kind| oddity(kind).map_or(Ok(()), |what| Err(PlainFileError::NotPlain { what }));
    if let Ok(about) = path.symlink_metadata() {
        refuse(about.file_type())?;
    }
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    refuse(file.metadata()?.file_type())?;
    Ok(file.write_all(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "no other way to make a pipe is there on every system")]
    fn only_a_regular_file_that_is_not_too_long_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "12345").unwrap();
        symlink("file", at("link")).unwrap();
        symlink("/dev/zero", at("zero")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let said = |name: &str, links: Links| match read_plain(&at(name), links, 5) {
            Ok(bytes) => String::from_utf8(bytes).unwrap(),
            Err(error) => error.to_string(),
        };
        for links in [Links::Followed, Links::Refused] {
            assert_eq!(said("file", links), "12345");
            assert_eq!(said("folder", links), "it is a folder and no regular file");
            assert_eq!(said("pipe", links), "it is a pipe and no regular file");
            assert_eq!(said("socket", links), "it is a socket and no regular file");
            assert!(said("missing", links).starts_with("No such file"));
        }
        assert_eq!(said("link", Links::Followed), "12345");
        assert_eq!(said("link", Links::Refused), "it is a symbolic link and no regular file");
        assert_eq!(said("zero", Links::Followed), "it is a device and no regular file");
        let write = |name: &str| write_plain(&at(name), b"12345").map_err(|error| error.to_string());
        assert_eq!((write("file"), write("fresh"), said("fresh", Links::Refused).as_str()), (Ok(()), Ok(()), "12345"));
        for (name, what) in [("link", "a symbolic link"), ("pipe", "a pipe"), ("folder", "a folder")] {
            assert_eq!(write(name), Err(format!("it is {what} and no regular file")));
        }
        std::fs::write(at("file"), "123456").unwrap();
        assert_eq!(said("file", Links::Refused), "it is longer than 5 bytes");
        // Says that it has no bytes, and has many.
        let status = read_plain(Path::new("/proc/self/status"), Links::Refused, 5);
        assert!(!cfg!(target_os = "linux") || matches!(status, Err(PlainFileError::TooLong { .. })), "{status:?}");
    }
}
