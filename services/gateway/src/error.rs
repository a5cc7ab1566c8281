//! Why the gateway is not made or opened: always the operator's to mend.

use chassis::Explain;

/// The gateway cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Everybody who reaches it could write.
    #[error("the registry would let everybody at {listener} write")]
    PushToken {
        /// What reaches beyond this machine.
        listener: String,
    },
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::PushToken { .. } => "registry_push_token",
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::PushToken { .. } => {
                "Set gateway.push_token_file to a file with a secret of your own, or listen at 127.0.0.1.".into()
            }
        })
    }
}
