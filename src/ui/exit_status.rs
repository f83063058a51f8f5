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
    /// 125: devdb itself failed before it could start a wrapped program (as env(1) counts).
    NotWrapped,
    /// 126: the wrapped program is there and could not be started.
    NotInvoked,
    /// 127: the wrapped program is not there.
    ProgramNotFound,
    /// The code of a wrapped child.
    Child(u8),
}

impl ExitStatus {
    /// The same for a command that wraps a program: its own failures must not be taken for the program's.
    pub fn before_a_program(self) -> Self {
        match self {
            Self::Failure | Self::Usage | Self::No | Self::Refused | Self::Bug => Self::NotWrapped,
            other => other,
        }
    }

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
            Self::NotWrapped => 125,
            Self::NotInvoked => 126,
            Self::ProgramNotFound => 127,
            Self::Child(code) => code,
        }
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        status.code().into()
    }
}
