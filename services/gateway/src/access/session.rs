//! Sessions: bearer tokens that clients get for their password, as registries' clients expect.
//!
//! A token is `level · expiry · HMAC-SHA256 of the two`, in URL-safe base64. Nothing is stored.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::Level;

/// How long a session lasts. Clients ask again by themselves; some take less than 60 for 60.
pub(super) const SECONDS: i64 = 300;

const CLAIMS: usize = 9;

/// Begins sessions and knows its own again.
#[derive(Debug)]
pub(super) struct Sessions {
    key: hmac::Key,
}

impl Sessions {
    pub(super) fn new(key: hmac::Key) -> Self {
        Self { key }
    }

    /// A token for `level`.
    pub(super) fn begin(&self, level: Level, now: Timestamp) -> String {
        let mut token = vec![match level {
            Level::Pull => b'r',
            Level::Push => b'w',
        }];
        token.extend((now.as_second() + SECONDS).to_be_bytes());
        token.extend(hmac::sign(&self.key, &token).as_ref());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// What the holder of `token` may do.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(super) fn level(&self, token: &str, now: Timestamp) -> Result<Level, SessionError> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| SessionError::Foreign)?;
        let (claims, mac) = bytes.split_at_checked(CLAIMS).ok_or(SessionError::Foreign)?;
        hmac::verify(&self.key, claims, mac).map_err(|_| SessionError::Foreign)?;
        let (level, expiry) = claims.split_first().ok_or(SessionError::Foreign)?;
        let expiry = i64::from_be_bytes(expiry.try_into().map_err(|_| SessionError::Foreign)?);
        if now.as_second() >= expiry {
            return Err(SessionError::Expired);
        }
        match level {
            b'r' => Ok(Level::Pull),
            b'w' => Ok(Level::Push),
            _ => Err(SessionError::Foreign),
        }
    }
}

/// A token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionError {
    /// It is none of ours.
    Foreign,
    /// It is too old.
    Expired,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(key: &[u8]) -> Sessions {
        Sessions::new(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    #[test]
    fn a_session_is_what_it_was_begun_as_until_it_expires() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let sessions = sessions(b"key");
        for level in [Level::Pull, Level::Push] {
            let token = sessions.begin(level, at(1_000));
            assert_eq!(sessions.level(&token, at(1_299)), Ok(level));
            assert_eq!(sessions.level(&token, at(1_300)), Err(SessionError::Expired));
        }
    }

    #[test]
    fn no_changed_or_foreign_token_opens_anything() {
        let now = Timestamp::from_second(1_000).unwrap();
        let token = sessions(b"key").begin(Level::Pull, now);
        assert_eq!(sessions(b"other").level(&token, now), Err(SessionError::Foreign));
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(sessions(b"key").level(&URL_SAFE_NO_PAD.encode(changed), now), Err(SessionError::Foreign), "{at}");
            assert_eq!(sessions(b"key").level(&URL_SAFE_NO_PAD.encode(&bytes[..at]), now), Err(SessionError::Foreign), "{at}");
        }
        assert_eq!(sessions(b"key").level("", now), Err(SessionError::Foreign));
    }
}
