//! A registry behind the one under test, as good or as bad as a test needs it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use oci::{Digest, fallback_tag, media_type};
use serde_json::{Value, json};
use testkit::{Reply, Scripted, ScriptedRequest};

use crate::support::{Registry, descriptor};

/// What becomes of an answer on its way out.
type Twist = Box<dyn Fn(&ScriptedRequest, Reply) -> Option<Reply> + Send>;

pub(crate) struct Behind {
    server: Scripted,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Type and bytes by path, without `/v2/`.
    holds: BTreeMap<String, (String, Vec<u8>)>,
    twist: Option<Twist>,
}

impl Behind {
    pub(crate) async fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let held = Arc::clone(&state);
        let server = Scripted::start(move |request, _| held.lock().unwrap().answer(request)).await;
        Self { server, state }
    }

    /// The registry under test, with this one behind it as `hub`.
    pub(crate) async fn gateway(&self) -> Registry {
        self.gateway_with(|_| {}).await
    }

    pub(crate) async fn gateway_with(&self, change: impl FnOnce(&mut Value)) -> Registry {
        let mut upstream = json!({"prefix": "hub", "url": self.server.url()});
        change(&mut upstream);
        Registry::with(|config| config["upstreams"] = json!([upstream])).await
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Holds `content` under a path.
    pub(crate) fn hold(&self, path: &str, media_type: &str, content: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().holds.insert(path.to_owned(), (media_type.to_owned(), content.into()));
    }

    /// Holds nothing under a path.
    pub(crate) fn lose(&self, path: &str) {
        self.state.lock().unwrap().holds.remove(path).unwrap();
    }

    pub(crate) fn blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        self.hold(&format!("{repository}/blobs/{digest}"), "application/octet-stream", content);
        digest
    }

    /// Holds a manifest by digest, and under `tag` if that is not empty.
    pub(crate) fn manifest(&self, repository: &str, tag: &str, document: &Value) -> Digest {
        let (media_type, bytes) = (document["mediaType"].as_str().unwrap(), document.to_string());
        let digest = Digest::of(bytes.as_bytes());
        for reference in [digest.as_str(), tag].into_iter().filter(|reference| !reference.is_empty()) {
            self.hold(&format!("{repository}/manifests/{reference}"), media_type, bytes.clone());
        }
        digest
    }

    /// Holds an image with its blobs.
    pub(crate) fn image(&self, repository: &str, tag: &str, content: &str) -> Digest {
        let config = self.blob(repository, b"{\"os\":\"linux\"}");
        let layer = self.blob(repository, content.as_bytes());
        let document = json!({
            "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST,
            "config": descriptor(media_type::IMAGE_CONFIG, &config, 14),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer, content.len())],
        });
        self.manifest(repository, tag, &document)
    }

    /// Holds something attached to `subject`, and lists it nowhere.
    pub(crate) fn artifact(&self, repository: &str, subject: &Digest, content: &str) -> Digest {
        let empty = self.blob(repository, b"{}");
        let layer = self.blob(repository, content.as_bytes());
        let document = json!({
            "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST, "artifactType": "application/signature",
            "config": descriptor(media_type::EMPTY, &empty, 2),
            "layers": [descriptor("application/octet-stream", &layer, content.len())],
            "subject": descriptor(media_type::IMAGE_MANIFEST, subject, 1),
            "annotations": {"content": content},
        });
        self.manifest(repository, "", &document)
    }

    /// Lists these by the referrers API, with types that are wrong as old tools wrote them.
    pub(crate) fn list(&self, repository: &str, subject: &Digest, listed: &[&Digest]) {
        self.hold(&format!("{repository}/referrers/{subject}"), media_type::IMAGE_INDEX, listing(listed));
    }

    /// Lists these under the fallback tag.
    pub(crate) fn list_by_tag(&self, repository: &str, subject: &Digest, listed: &[&Digest]) {
        self.hold(&format!("{repository}/manifests/{}", fallback_tag(subject)), media_type::IMAGE_INDEX, listing(listed));
    }

    /// From now on every answer goes through this.
    pub(crate) fn twist(&self, twist: impl Fn(&ScriptedRequest, Reply) -> Option<Reply> + Send + 'static) {
        self.state.lock().unwrap().twist = Some(Box::new(twist));
    }

    /// From now on every answer is this one, without content.
    pub(crate) fn answer_all(&self, status: u16) {
        self.twist(move |_, _| Some(Reply::new(status, &[], "")));
    }

    /// From now on no answer comes.
    pub(crate) fn vanish(&self) {
        self.twist(|_, _| None);
    }

    /// From now on answers are as they should be.
    pub(crate) fn behave(&self) {
        self.state.lock().unwrap().twist = None;
    }

    /// Method and path of all requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.server.lines()
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.asked().iter().filter(|line| line.contains(part)).count()
    }
}

impl State {
    fn answer(&self, request: &ScriptedRequest) -> Option<Reply> {
        let (_, path) = request.line.split_once(" /v2/").unwrap();
        let reply = match self.holds.get(path) {
            Some((media_type, bytes)) => held(request, media_type, bytes),
            None => Reply::new(404, &[("content-type", "application/json")], r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
        };
        match &self.twist {
            Some(twist) => twist(request, reply),
            None => Some(reply),
        }
    }
}

fn held(request: &ScriptedRequest, media_type: &str, bytes: &[u8]) -> Reply {
    let digest = Digest::of(bytes).to_string();
    let headers = [("content-type", media_type), ("docker-content-digest", &digest)];
    let from = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match from {
        None => Reply::new(200, &headers, bytes),
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            Reply::new(206, &[headers[0], headers[1], ("content-range", &range)], &bytes[from..])
        }
    }
}

fn listing(listed: &[&Digest]) -> String {
    let entry = |digest: &&Digest| json!({"mediaType": media_type::IMAGE_MANIFEST, "digest": digest, "size": 1, "artifactType": media_type::EMPTY});
    let entries: Vec<Value> = listed.iter().map(entry).collect();
    json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": entries}).to_string()
}
