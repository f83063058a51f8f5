/// How a command ended, as the shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0: done, or already so.
    Success,
    /// 1: failed; message and hint are on stderr.
    Failure,
    /// 2: wrong usage.
    Usage,
    /// 3: a question answered "no": not up, pending, repairable.
    No,
    /// 4: refused for safety.
    Refused,
    /// 70: a bug in devdb (EX_SOFTWARE of sysexits.h).
    Bug,
    /// 130: cancelled.
    Cancelled,
    /// The code of a wrapped child.
    Child(u8),
}

impl ExitStatus {
    /// The process exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::No => 3,
            Self::Refused => 4,
            Self::Bug => 70,
            Self::Cancelled => 130,
            Self::Child(code) => code,
        }
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        status.code().into()
    }
}
