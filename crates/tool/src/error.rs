//! What can go wrong, in one sentence, with the exit status that says whose fault it was.

/// An error of the `trapcast` command.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The user's input, or the machine, is unsuitable: exit status 2.
    #[error("{0}")]
    Input(String),
    /// A run failed or found what it must not find: exit status 1.
    #[error("{0}")]
    Run(String),
    /// A VM ended in another way than by powering off, which may be intended: exit status 3.
    #[error("{0}")]
    Halted(String),
    /// A signal asked to stop, by its number: exit status 128 and that number, as shells have it.
    #[error("stopped by {}", signal_hook::low_level::signal_name((*.0).into()).unwrap_or("a signal"))]
    Stopped(u8),
}

/// What every command exits with, and why: what its help and `docs/commands.md` list.
pub const EXIT_STATUSES: [(u8, &str); 7] = [
    (0, "success"),
    (
        1,
        "a run failed, or a check did: registers lost, a VM that the hypervisor stopped, a \
         document or a study that differs, a budget that was exceeded, something that trapcast doctor misses",
    ),
    (
        2,
        "the input or the machine is unsuitable: arguments, files that cannot be read or written, what is \
         not built or installed, VMs that the hypervisor refuses",
    ),
    (
        3,
        "all CPUs of a VM that trapcast boot has booted turned themselves off, which does not power the \
         VM off",
    ),
    (129, "stopped by SIGHUP: the terminal was closed"),
    (130, "stopped by SIGINT: Ctrl-C"),
    (143, "stopped by SIGTERM"),
];

impl Error {
    /// An [`Error::Input`] from anything that can be shown.
    pub fn input(sentence: impl ToString) -> Self {
        Self::Input(sentence.to_string())
    }

    /// An [`Error::Run`] from anything that can be shown.
    pub fn run(sentence: impl ToString) -> Self {
        Self::Run(sentence.to_string())
    }

    /// The exit status of a command that ends with this error.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Run(_) => 1,
            Self::Input(_) => 2,
            Self::Halted(_) => 3,
            Self::Stopped(signal) => 128 + *signal,
        }
    }
}

impl From<trapcast_profile::Error> for Error {
    fn from(error: trapcast_profile::Error) -> Self {
        Self::input(with_causes(&error))
    }
}

/// An error's sentence, followed by those of its causes.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence += &format!(": {error}");
        cause = error.source();
    }
    sentence
}

/// A result of the `trapcast` command's parts.
pub type Result<T> = std::result::Result<T, Error>;
