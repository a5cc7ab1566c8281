//! A registry as its clients see it (OCI distribution specification 1.1).

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use testkit::Chancery;

use crate::image::{Content, Image, sha256};

/// The media types a client names when it reads a manifest.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Of one request. Large blobs take their time on a machine that does other things too.
const LIMIT: Duration = Duration::from_secs(300);

/// A registry at a base URL, asked without credentials.
#[derive(Debug, Clone)]
pub struct Registry {
    base: String,
    http: reqwest::Client,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// It is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The code of the first error in the body (distribution-spec, Error Codes).
    #[must_use]
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A header; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Asserts a status.
    ///
    /// # Panics
    /// It is another one.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}\n{}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

impl Registry {
    /// The registry at a base URL, for example `http://127.0.0.1:5000`.
    #[must_use]
    pub fn at(base: &str) -> Self {
        Self { base: base.to_owned(), http: testkit::http(&[]) }
    }

    /// The registry at a base URL over HTTPS, behind an authority given as PEM.
    #[must_use]
    pub fn behind(base: &str, authority: &str) -> Self {
        Self { base: base.to_owned(), http: testkit::http(&[authority]) }
    }

    /// The registry of a lab.
    #[must_use]
    pub fn of(lab: &Chancery) -> Self {
        Self::at(&format!("http://{}", lab.env().get("CHANCERY_REGISTRY")))
    }

    /// Sends a request; `path` begins with `/`, or is a whole URL as `Location` may be.
    ///
    /// # Errors
    /// No answer, or one that breaks off.
    pub async fn try_send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> reqwest::Result<Answer> {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        let request = headers.iter().fold(self.http.request(method, url), |request, (name, value)| request.header(*name, *value));
        let answer = request.body(body).timeout(LIMIT).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer { status, headers, body: answer.bytes().await?.to_vec() })
    }

    /// As [`Self::try_send`], for a server that must be there.
    ///
    /// # Panics
    /// No answer.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        self.try_send(method.clone(), path, headers, body.into())
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error:?}"))
    }

    /// `GET`, with the media types of manifests accepted.
    ///
    /// # Panics
    /// No answer.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[("accept", ACCEPT)], []).await
    }

    /// A manifest by tag or digest, whatever is answered.
    ///
    /// # Panics
    /// No answer.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Answer {
        self.get(&format!("/v2/{repository}/manifests/{reference}")).await
    }

    /// A blob, whatever is answered.
    ///
    /// # Panics
    /// No answer.
    pub async fn blob(&self, repository: &str, digest: &str) -> Answer {
        self.get(&format!("/v2/{repository}/blobs/{digest}")).await
    }

    /// The tags of a repository, page by page; none where there is no such repository.
    ///
    /// # Panics
    /// Anything else is answered.
    pub async fn tags(&self, repository: &str) -> Vec<String> {
        let mut tags: Vec<String> = Vec::new();
        loop {
            let last = tags.last().map(|last| format!("&last={last}")).unwrap_or_default();
            let answer = self.get(&format!("/v2/{repository}/tags/list?n=1000{last}")).await;
            if answer.status == 404 {
                return tags;
            }
            let answer = answer.expect(200);
            let more = answer.json()["tags"].as_array().expect("a list").clone();
            tags.extend(more.iter().map(|tag| tag.as_str().expect("a name").to_owned()));
            if answer.header("link").is_empty() {
                return tags;
            }
        }
    }

    /// The descriptors of what is attached to a manifest.
    ///
    /// # Panics
    /// They are refused.
    pub async fn referrers(&self, repository: &str, subject: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v2/{repository}/referrers/{subject}")).await.expect(200);
        answer.json()["manifests"].as_array().expect("a list").clone()
    }

    /// Pushes a blob as most clients do: `POST`, then one `PUT`.
    ///
    /// # Errors
    /// No answer.
    ///
    /// # Panics
    /// It is refused.
    pub async fn push_blob(&self, repository: &str, blob: &Content) -> reqwest::Result<()> {
        let begun = self.try_send(Method::POST, &format!("/v2/{repository}/blobs/uploads/"), &[], Vec::new()).await?.expect(202);
        let location = begun.header("location");
        let sign = if location.contains('?') { '&' } else { '?' };
        let url = format!("{location}{sign}digest={}", blob.digest);
        let octets = [("content-type", "application/octet-stream")];
        let put = self.try_send(Method::PUT, &url, &octets, blob.bytes.clone()).await?.expect(201);
        assert_eq!(put.header("docker-content-digest"), blob.digest, "{put}");
        Ok(())
    }

    /// Puts a manifest under a tag or its digest.
    ///
    /// # Errors
    /// No answer.
    pub async fn put_manifest(&self, repository: &str, reference: &str, manifest: &Content) -> reqwest::Result<Answer> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.try_send(Method::PUT, &path, &[("content-type", &manifest.media_type)], manifest.bytes.clone()).await
    }

    /// Pushes an image: blobs, then platforms by digest, then the root under a tag or, for something attached, its digest.
    ///
    /// # Errors
    /// No answer.
    ///
    /// # Panics
    /// Something is refused.
    pub async fn try_push(&self, repository: &str, reference: &str, image: &Image) -> reqwest::Result<()> {
        for blob in &image.blobs {
            self.push_blob(repository, blob).await?;
        }
        for platform in &image.platforms {
            let _ = self.put_manifest(repository, &platform.digest, platform).await?.expect(201);
        }
        let _ = self.put_manifest(repository, reference, &image.root).await?.expect(201);
        Ok(())
    }

    /// As [`Self::try_push`], for a server that must be there.
    ///
    /// # Panics
    /// No answer, or something is refused.
    pub async fn push(&self, repository: &str, reference: &str, image: &Image) {
        self.try_push(repository, reference, image).await.unwrap_or_else(|error| panic!("{repository}:{reference}: {error:?}"));
    }

    /// Reads everything that a tag or digest leads to, with what is attached, and checks every digest and size: manifests, then
    /// configs and layers, then referrers of each manifest, and theirs. Returns the digests.
    ///
    /// # Panics
    /// Something is missing, or is not what its name says.
    pub async fn assert_whole(&self, repository: &str, reference: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let first = self.manifest(repository, reference).await.expect(200);
        let mut waiting = vec![first.header("docker-content-digest").to_owned()];
        assert_eq!(sha256(&first.body), waiting[0], "{repository}:{reference}");
        while let Some(digest) = waiting.pop() {
            if !seen.insert(digest.clone()) {
                continue;
            }
            let answer = self.manifest(repository, &digest).await.expect(200);
            assert_eq!(sha256(&answer.body), digest, "{repository}: a manifest with other bytes");
            let manifest = answer.json();
            let list = |name: &str| manifest[name].as_array().cloned().unwrap_or_default();
            let blobs =
                list("layers").into_iter().chain([manifest["config"].clone()].into_iter().filter(|config| !config.is_null()));
            for descriptor in blobs {
                let name = descriptor["digest"].as_str().expect("a digest").to_owned();
                let blob = self.blob(repository, &name).await.expect(200).body;
                assert_eq!(sha256(&blob), name, "{repository}: a blob with other bytes");
                assert_eq!(Some(blob.len() as u64), descriptor["size"].as_u64(), "{repository}: {name}");
                seen.insert(name);
            }
            let attached = self.referrers(repository, &digest).await;
            let named = |entry: &Value| entry["digest"].as_str().expect("a digest").to_owned();
            waiting.extend(list("manifests").iter().chain(&attached).map(named));
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::BUNDLE;

    /// Somebody else's registry says whether what is made and asked here is right.
    #[tokio::test]
    async fn images_are_pushed_and_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let peer = testkit::Peer::olareg(folder.path()).await;
        let registry = Registry::at(&peer.url());
        let image = Image::two_platforms("hello");
        registry.push("team/app", "1", &image).await;
        let attached = Image::referrer(&image.platforms[1], BUNDLE, Content::new(BUNDLE, b"attached".to_vec()));
        registry.push("team/app", &attached.root.digest, &attached).await;
        let found = registry.assert_whole("team/app", "1").await;
        let expected = |image: &Image| image.manifests().chain(&image.blobs).map(|part| part.digest.clone()).collect::<Vec<_>>();
        assert_eq!(found, expected(&image).into_iter().chain(expected(&attached)).collect());
        assert_eq!((registry.tags("team/app").await, registry.tags("team/other").await), (vec!["1".to_owned()], Vec::new()));
        assert_eq!(registry.manifest("team/app", "2").await.expect(404).code(), "MANIFEST_UNKNOWN");
    }
}
