//! Where the service is, and whom it is asked as.

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use url::{Host, Url};

use crate::{ObjectError, S3Config};

/// What the environment may say about credentials, as every client of AWS reads it, and nothing besides: a variable that switched
/// signatures or TLS off, or led elsewhere, would be somebody else's.
const ENVIRONMENT: &[(&str, AmazonS3ConfigKey)] = &[
    ("AWS_ACCESS_KEY_ID", AmazonS3ConfigKey::AccessKeyId),
    ("AWS_SECRET_ACCESS_KEY", AmazonS3ConfigKey::SecretAccessKey),
    ("AWS_SESSION_TOKEN", AmazonS3ConfigKey::Token),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", AmazonS3ConfigKey::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    ("AWS_ENDPOINT_URL_STS", AmazonS3ConfigKey::StsEndpoint),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", AmazonS3ConfigKey::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AmazonS3ConfigKey::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AmazonS3ConfigKey::ContainerAuthorizationTokenFile),
];

/// The base URL of a service. What is written is signed, but what is read is not: it needs TLS wherever others could come between.
pub(super) fn endpoint(text: &str) -> Result<Url, ObjectError> {
    let wrong =
        |reason: &str| ObjectError::Setting(format!("the endpoint {reason}; expected a URL like https://s3.corp.example"));
    let url = Url::parse(text).map_err(|error| wrong(&format!("is no URL ({error})")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds an account, which belongs into access_key_id and secret_access_key_file"));
    }
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(wrong(&format!("`{text}` is no http(s) URL")));
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(wrong(&format!("`{text}` is plain HTTP beyond this machine")));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(&format!("`{text}` has more than a host and a port")));
    }
    Ok(url)
}

/// A bucket's name is a part of URLs.
pub(super) fn check_bucket(bucket: &str) -> Result<(), ObjectError> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let ends = bucket.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && !bucket.ends_with(['.', '-']);
    if (3..=63).contains(&bucket.len()) && ends && bucket.bytes().all(letter) && !bucket.contains("..") {
        return Ok(());
    }
    Err(ObjectError::Setting(format!(
        "`{bucket}` is no name of a bucket; expected 3 to 63 small letters, digits, dots and hyphens"
    )))
}

/// Gives the account of the configuration, or else what the environment has.
pub(super) async fn authorise(
    builder: AmazonS3Builder,
    config: &S3Config,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<AmazonS3Builder, ObjectError> {
    match (&config.access_key_id, &config.secret_access_key_file) {
        (Some(id), Some(file)) => {
            let unreadable = |source| ObjectError::Secret { path: file.to_path_buf(), source };
            let secret = tokio::fs::read_to_string(file).await.map_err(unreadable)?;
            let secret = secret.trim_end_matches(['\n', '\r']);
            if secret.is_empty() || secret.chars().any(char::is_whitespace) {
                let reason = "it is empty, or more than one word";
                return Err(unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, reason)));
            }
            Ok(builder.with_access_key_id(id).with_secret_access_key(secret))
        }
        (None, None) => Ok(ENVIRONMENT
            .iter()
            .filter_map(|(variable, key)| Some((*key, environment(variable).filter(|value| !value.is_empty())?)))
            .fold(builder, |builder, (key, value)| builder.with_config(key, value))),
        _ => Err(ObjectError::Setting("access_key_id and secret_access_key_file are given together, or neither".to_owned())),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine() {
        for good in [
            "https://s3.corp.example",
            "https://s3.corp.example:9000/",
            "http://127.0.0.1:9000",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for (bad, says) in [
            ("http://s3.corp.example", "plain HTTP beyond this machine"),
            ("https://id:secret@s3.corp.example", "holds an account"),
            ("s3://bucket", "no http(s) URL"),
            ("https://s3.corp.example/bucket", "more than a host and a port"),
            ("https://s3.corp.example?x=1", "more than a host and a port"),
            ("s3.corp.example", "is no URL"),
        ] {
            let error = endpoint(bad).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("secret@"), "{bad}: {error}");
        }
    }

    #[test]
    fn buckets_are_named_as_the_service_names_them() {
        for good in ["logs", "my.logs-1", "abc"] {
            assert!(check_bucket(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", "Logs", "a_b_c", "-abc", "abc-", "a/b", "a..b", &"a".repeat(64)] {
            assert!(check_bucket(bad).is_err(), "{bad}");
        }
    }

    fn config(id: Option<&str>, file: Option<&std::path::Path>) -> S3Config {
        let (endpoint, region, bucket) = ("https://s3.corp.example".to_owned(), "r".to_owned(), "logs".to_owned());
        let (access_key_id, secret_access_key_file) = (id.map(ToOwned::to_owned), file.map(Into::into));
        S3Config { endpoint, region, bucket, prefix: String::new(), access_key_id, secret_access_key_file, ca_file: None }
    }

    #[tokio::test]
    async fn the_configured_account_comes_first_and_the_environment_only_without_one() {
        let environment = |variable: &str| {
            let known = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].contains(&variable);
            known.then(|| format!("environment's {variable}"))
        };
        let value = |builder: &AmazonS3Builder, key| builder.get_config_value(&key).unwrap_or_default();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "of the file\n").unwrap();
        let error = authorise(AmazonS3Builder::new(), &config(Some("id"), Some(&file)), environment).await.unwrap_err();
        assert!(matches!(error, ObjectError::Secret { .. }), "{error}");
        std::fs::write(&file, "secret\n").unwrap();
        let builder = authorise(AmazonS3Builder::new(), &config(Some("id"), Some(&file)), environment).await.unwrap();
        assert_eq!(value(&builder, AmazonS3ConfigKey::AccessKeyId), "id");
        assert_eq!(value(&builder, AmazonS3ConfigKey::SecretAccessKey), "secret");
        assert_eq!(value(&builder, AmazonS3ConfigKey::Token), "");
        let builder = authorise(AmazonS3Builder::new(), &config(None, None), environment).await.unwrap();
        assert_eq!(value(&builder, AmazonS3ConfigKey::Token), "environment's AWS_SESSION_TOKEN");
        for half in [config(Some("id"), None), config(None, Some(&file))] {
            let error = authorise(AmazonS3Builder::new(), &half, environment).await.unwrap_err();
            assert!(matches!(error, ObjectError::Setting(_)), "{error}");
        }
    }
}
