//! Where `chancery log fsck` reads tiles: a log's URL, or a folder with its files.

use std::error::Error;
use std::io::ErrorKind;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::{Client, StatusCode};
use tlog::TileSource;

/// The largest file of a log: 256 entries of 65,535 bytes, each behind its length.
const LARGEST: usize = 256 * (2 + 65_535);

/// A log that is served over HTTP.
pub(super) struct Http {
    client: Client,
    base: String,
}

impl Http {
    pub(super) fn new(client: Client, url: &str) -> Self {
        Self { client, base: url.trim_end_matches('/').to_owned() }
    }
}

#[async_trait]
impl TileSource for Http {
    async fn read(&self, path: &str) -> Result<Option<Bytes>, Box<dyn Error + Send + Sync>> {
        let mut response = self.client.get(format!("{}/{path}", self.base)).send().await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            status => return Err(format!("the server answered {status}").into()),
        }
        let mut content = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if content.len() + chunk.len() > LARGEST {
                return Err(format!("the answer is longer than {LARGEST} bytes, the most that such a file can have").into());
            }
            content.extend_from_slice(&chunk);
        }
        Ok(Some(content.freeze()))
    }
}

/// A log whose files lie in a folder.
pub(super) struct Folder(pub(super) PathBuf);

#[async_trait]
impl TileSource for Folder {
    async fn read(&self, path: &str) -> Result<Option<Bytes>, Box<dyn Error + Send + Sync>> {
        match tokio::fs::read(self.0.join(path)).await {
            Ok(content) => Ok(Some(content.into())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
