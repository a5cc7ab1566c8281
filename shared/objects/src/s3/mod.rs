//! A bucket of an S3 service.

mod access;
mod client;
mod failure;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as ObjectPath;
use object_store::{BackoffConfig, ClientOptions, GetOptions, ObjectStore, PutMode, RetryConfig, UpdateVersion};

use crate::{Created, Driver, ObjectError, S3Config, name};

/// Objects in a bucket, all below one prefix.
#[derive(Debug)]
pub(crate) struct S3 {
    store: Arc<AmazonS3>,
    bucket: String,
    prefix: String,
}

/// What is written when a bucket is opened. It stays: to remove it, a right would be needed that nothing else may need.
const PROBE: &str = "chancery-probe";
const PROBE_CONTENT: &[u8] = b"Written by Chancery when it opens this place, to see that it can.\n";

/// Within the time that a call has, three attempts of ten seconds each.
const RETRIES: usize = 2;
const RETRY_TIME: Duration = Duration::from_secs(20);
/// Deletes at once.
const DELETES: usize = 8;

impl S3 {
    /// A bucket as configured, not yet asked anything.
    ///
    /// # Errors
    /// [`ObjectError::Setting`], [`ObjectError::Secret`], [`ObjectError::Client`].
    pub(crate) async fn new(config: &S3Config) -> Result<Self, ObjectError> {
        let endpoint = access::endpoint(&config.endpoint)?;
        access::check_bucket(&config.bucket)?;
        if !config.prefix.is_empty() {
            let wrong = |_| ObjectError::Setting(format!("`{}` is no prefix; expected one like logs/rekor", config.prefix));
            name::check(&config.prefix).map_err(wrong)?;
        }
        let retry = RetryConfig {
            backoff: BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() },
            max_retries: RETRIES,
            retry_timeout: RETRY_TIME,
        };
        let authorities: Vec<_> = config.ca_file.iter().map(|path| path.to_path_buf()).collect();
        let builder = AmazonS3Builder::new()
            .with_endpoint(endpoint.as_str().trim_end_matches('/'))
            .with_region(&config.region)
            .with_bucket_name(&config.bucket)
            .with_virtual_hosted_style_request(false)
            // Deletes in one request are not offered everywhere.
            .with_disable_bulk_delete(true)
            .with_retry(retry)
            .with_client_options(ClientOptions::new().with_allow_http(endpoint.scheme() == "http"))
            .with_http_connector(client::Connector::new(&authorities)?);
        let builder = access::authorise(builder, config, |variable| std::env::var(variable).ok()).await?;
        let store = builder.build().map_err(|error| ObjectError::Setting(error.to_string()))?;
        Ok(Self { store: Arc::new(store), bucket: config.bucket.clone(), prefix: config.prefix.clone() })
    }

    /// Finds out whether objects can be created, exactly once each, and read.
    ///
    /// # Errors
    /// [`ObjectError`] for what is wrong.
    pub(crate) async fn probe_writes(&self) -> Result<(), ObjectError> {
        let content = Bytes::from_static(PROBE_CONTENT);
        if self.create(PROBE, content.clone()).await? == Created::New && self.create(PROBE, content).await? == Created::New {
            return Err(ObjectError::Unconditional { location: self.location() });
        }
        self.probe_reads().await
    }

    /// Finds out whether objects can be read, and missing ones told from forbidden ones.
    ///
    /// # Errors
    /// [`ObjectError`] for what is wrong.
    pub(crate) async fn probe_reads(&self) -> Result<(), ObjectError> {
        self.read("chancery-probe-of-what-is-missing", 0).await.map(|_| ())?;
        self.read(PROBE, PROBE_CONTENT.len()).await.map(|_| ())
    }

    /// An object and the tag that its next change can be bound to.
    async fn find(&self, name: &str, most: usize) -> Result<Option<(Bytes, Option<String>)>, ObjectError> {
        let found = match self.store.get_opts(&self.place(name), GetOptions::default()).await {
            Ok(found) => found,
            // A bucket that is not there is not found either, and must not look like one without this object.
            Err(error) if failure::is_missing_object(&error) => return Ok(None),
            Err(error) => return Err(self.failed(name, &error)),
        };
        let too_large = || ObjectError::TooLarge { object: self.shown(name), most };
        if found.meta.size > u64::try_from(most).unwrap_or(u64::MAX) {
            return Err(too_large());
        }
        let e_tag = found.meta.e_tag.clone();
        let (mut bytes, mut stream) = (Vec::new(), found.into_stream());
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| self.failed(name, &error))?;
            if bytes.len() + chunk.len() > most {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some((bytes.into(), e_tag)))
    }

    fn place(&self, name: &str) -> ObjectPath {
        if self.prefix.is_empty() { ObjectPath::from(name) } else { ObjectPath::from(format!("{}/{name}", self.prefix)) }
    }

    fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.location())
    }

    fn failed(&self, name: &str, error: &object_store::Error) -> ObjectError {
        failure::of(&format!("s3://{}", self.bucket), &self.shown(name), error)
    }
}

#[async_trait]
impl Driver for S3 {
    fn location(&self) -> String {
        if self.prefix.is_empty() { format!("s3://{}", self.bucket) } else { format!("s3://{}/{}", self.bucket, self.prefix) }
    }

    async fn create(&self, name: &str, content: Bytes) -> Result<Created, ObjectError> {
        match self.store.put_opts(&self.place(name), content.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(Created::New),
            // Also what a service answers while another request creates it: whether it came to that, the read afterwards tells.
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::There),
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    async fn replace(&self, name: &str, content: Bytes) -> Result<(), ObjectError> {
        let put = self.store.put_opts(&self.place(name), content.into(), PutMode::Overwrite.into()).await;
        put.map(|_| ()).map_err(|error| self.failed(name, &error))
    }

    async fn swap(&self, name: &str, old: Option<Bytes>, content: Bytes) -> Result<bool, ObjectError> {
        let mode = match old {
            None => PutMode::Create,
            Some(old) => match self.find(name, old.len()).await {
                Ok(Some((there, e_tag))) if there == old => PutMode::Update(UpdateVersion { e_tag, version: None }),
                Ok(_) | Err(ObjectError::TooLarge { .. }) => return Ok(false),
                Err(error) => return Err(error),
            },
        };
        match self.store.put_opts(&self.place(name), content.into(), mode.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    async fn read(&self, name: &str, most: usize) -> Result<Option<Bytes>, ObjectError> {
        Ok(self.find(name, most).await?.map(|(content, _)| content))
    }

    async fn remove_under(&self, prefix: &str) -> Result<(), ObjectError> {
        let listed = self.store.list(Some(&self.place(prefix))).map_ok(|object| object.location);
        let removed = listed.map(|place| {
            let store = Arc::clone(&self.store);
            async move {
                let mut gone = store.delete_stream(futures_util::stream::iter([place]).boxed());
                gone.try_next().await.map(|_| ())
            }
        });
        let outcome = removed.buffer_unordered(DELETES).try_collect::<()>().await;
        outcome.map_err(|error| self.failed(prefix, &error))
    }
}
