//! How a command ends when it does not succeed: three parts and a code, on stderr or as JSON.

use std::error::Error;
use std::process::ExitCode;

use chassis::report::{self, Explain};

use crate::cli::Output;
use crate::output;

/// The exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Something failed.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Policy or verification said no.
    Refused = 3,
}

/// A command that did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    details: Vec<String>,
    advice: Option<String>,
    code: &'static str,
    exit: Exit,
}

/// The result of every command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Something failed; `what` stands alone.
    pub(crate) fn new(code: &'static str, what: impl Into<String>) -> Self {
        Self { what: what.into(), details: Vec::new(), advice: None, code, exit: Exit::Failed }
    }

    /// The person at the command line has to change something.
    pub(crate) fn usage(code: &'static str, what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(code, what) }
    }

    /// What an error of another crate explains about itself.
    pub(crate) fn explained(error: &dyn Explain) -> Self {
        Self { what: error.to_string(), details: error.details(), advice: error.advice(), code: error.code(), exit: Exit::Failed }
    }

    /// `what`, and below it the causes of `error`, outermost first.
    pub(crate) fn because(code: &'static str, what: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::new(code, what);
        failure.details = std::iter::successors(Some(error), |cause| (*cause).source()).map(ToString::to_string).collect();
        failure
    }

    /// Adds a line of why.
    #[must_use]
    pub(crate) fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Changes the exit code.
    pub(crate) fn set_exit(&mut self, exit: Exit) {
        self.exit = exit;
    }

    /// Prints the failure where `output` wants it and returns the exit code.
    pub(crate) fn report(&self, output: Output) -> ExitCode {
        match output {
            Output::Text => output::tell(&format!("{}\n", report::render(self))),
            Output::Json => output::print_json(&report::json(self)),
        }
        ExitCode::from(self.exit as u8)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {}

impl Explain for Failure {
    fn code(&self) -> &'static str {
        self.code
    }

    fn details(&self) -> Vec<String> {
        self.details.clone()
    }

    fn advice(&self) -> Option<String> {
        self.advice.clone()
    }
}
