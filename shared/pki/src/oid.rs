//! Object identifiers that no database of them has.

use const_oid::ObjectIdentifier;

/// The arc of Fulcio's extensions, 1.3.6.1.4.1.57264.1.
pub const FULCIO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1");
/// The otherName of a username.
pub const FULCIO_USERNAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");
/// The critical extension that makes a certificate a precertificate (RFC 6962 §3.1).
pub const CT_POISON: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.3");
/// The list of embedded SCTs (RFC 6962 §3.3).
pub const CT_SCT_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");
/// The purpose of a dedicated precertificate signing certificate (RFC 6962 §3.1).
pub const CT_PRECERTIFICATE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.4");
/// The purpose codeSigning.
pub const CODE_SIGNING: ObjectIdentifier = const_oid::db::rfc5280::ID_KP_CODE_SIGNING;
/// The purpose timeStamping.
pub const TIME_STAMPING: ObjectIdentifier = const_oid::db::rfc5280::ID_KP_TIME_STAMPING;
