//! Where objects are kept, as configuration says it.

use chassis::config::FilePath;
use serde::{Deserialize, Serialize};

/// A place for objects: `{folder: PATH}` or `{s3: {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ObjectsConfig {
    /// A folder, which is there: it is the operator's to make. Several processes may share it, also over a network file system that has
    /// hard links and honours fsync.
    Folder(FilePath),
    /// A bucket of an S3 service, which is there.
    S3(S3Config),
}

/// A bucket, and whom it is opened as.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    /// Base URL of the service: `https://s3.corp.example`. Plain HTTP is for this machine alone.
    pub endpoint: String,
    /// The region that requests are signed for. Services of one region mostly take any.
    #[serde(default = "default_region")]
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What all names begin with, without slashes at its ends: `logs/rekor`. Nothing unless it is said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The account's key id. Without it the credentials are the environment's: the variables `AWS_ACCESS_KEY_ID` and
    /// `AWS_SECRET_ACCESS_KEY` (and `AWS_SESSION_TOKEN`), a web identity, a container's or a machine's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// A file with the account's secret key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_access_key_file: Option<FilePath>,
    /// A PEM file with authorities to believe besides the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<FilePath>,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        let read = |text: &str| serde_json::from_str::<ObjectsConfig>(text);
        let folder = r#"{"folder":"/srv/tiles"}"#;
        assert_eq!(read(folder).unwrap(), ObjectsConfig::Folder(std::path::PathBuf::from("/srv/tiles").into()));
        assert_eq!(serde_json::to_string(&read(folder).unwrap()).unwrap(), folder);
        let ObjectsConfig::S3(s3) = read(r#"{"s3":{"endpoint":"https://s3.corp.example","bucket":"tiles"}}"#).unwrap() else {
            panic!("it is a bucket")
        };
        assert_eq!((s3.region.as_str(), s3.prefix.as_str(), s3.access_key_id), ("us-east-1", "", None));
        for (wrong, says) in [
            (r#"{"s3":{"endpoint":"https://s3","bucket":"b","secret_access_key":"s"}}"#, "unknown field `secret_access_key`"),
            (r#"{"gcs":{}}"#, "unknown variant `gcs`, expected `folder` or `s3`"),
            (r#"{"s3":{"bucket":"b"}}"#, "missing field `endpoint`"),
        ] {
            assert!(read(wrong).unwrap_err().to_string().contains(says), "{wrong}");
        }
    }
}
