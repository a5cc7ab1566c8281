//! Dex, a released identity provider with passwords of its own, and a person who logs in there.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method, Url, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{free_port, http, pinned, wait_until};

use crate::people::EMAIL;

/// The person's password, and what Dex knows of it.
const PASSWORD: (&str, &str) = ("password", "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W");

/// A Dex on loopback that knows one person, [`EMAIL`], and the client `sigstore`. It is killed when dropped.
#[derive(Debug)]
pub struct Dex {
    folder: TempDir,
    port: u16,
    child: Child,
    http: Client,
}

impl Dex {
    /// Starts it.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start() -> Self {
        let (folder, port) = (TempDir::with_prefix("dex-").expect("a temporary folder can be made"), free_port());
        let config = folder.path().join("dex.json");
        std::fs::write(&config, configuration(port).to_string()).expect("the folder can be written");
        let log = File::create(folder.path().join("log")).expect("the folder can be written");
        let mut command = Command::new(pinned("dex"));
        command.arg("serve").arg(&config).env_clear().env("HOME", folder.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("dex: {error}"));
        let mut dex = Self { folder, port, child, http: http(&[]) };
        let discovery = format!("{}/.well-known/openid-configuration", dex.issuer());
        wait_until("Dex answers", Duration::from_secs(60), async || {
            assert!(dex.child.try_wait().is_ok_and(|status| status.is_none()), "{}", dex.log());
            dex.http.get(&discovery).send().await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        dex
    }

    /// The `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> String {
        issuer(self.port)
    }

    /// The person's token, by the password grant.
    ///
    /// # Panics
    /// It is refused.
    pub async fn token(&self) -> String {
        let wish = [
            ("grant_type", "password"),
            ("client_id", "sigstore"),
            ("username", EMAIL),
            ("password", PASSWORD.0),
            ("scope", "openid email"),
        ];
        let answer = self.send(&format!("{}/token", self.issuer()), Some(&wish)).await.1;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
        answer["id_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    /// What the person does in a browser with the address that a program shows for the device flow: confirm the code, log in.
    ///
    /// # Panics
    /// A page is not as expected.
    pub async fn log_in(&self, address: &str) {
        let code = address.split_once("user_code=").unwrap_or_else(|| panic!("no code in {address}")).1;
        let (confirm, page) = self.send(address, None).await;
        let (log_in, page) = self.send(&target(&confirm, &page), Some(&[("user_code", code)])).await;
        let (last, page) = self.send(&target(&log_in, &page), Some(&[("login", EMAIL), ("password", PASSWORD.0)])).await;
        assert!(page.contains("Login Successful"), "{last}: {page}");
    }

    /// Fetches a page, or posts a form, and follows where that leads; returns where it led and what is there.
    async fn send(&self, address: &str, form: Option<&[(&str, &str)]>) -> (Url, String) {
        let mut url = Url::parse(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let mut form = form;
        for _ in 0..10 {
            let request = match form.take() {
                None => self.http.request(Method::GET, url.clone()),
                Some(fields) => {
                    let mut body = Url::parse("form:").expect("a URL");
                    body.query_pairs_mut().extend_pairs(fields);
                    let request = self.http.request(Method::POST, url.clone());
                    let body = body.query().unwrap_or_default().to_owned();
                    request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
                }
            };
            let answer = request.send().await.unwrap_or_else(|error| panic!("{url}: {error:?}\n{}", self.log()));
            if !answer.status().is_redirection() {
                return (url, answer.text().await.unwrap_or_else(|error| panic!("{error:?}")));
            }
            let location = answer.headers()[header::LOCATION].to_str().expect("a redirect to a URL");
            url = url.join(location).unwrap_or_else(|error| panic!("{location}: {error}"));
        }
        panic!("{address} leads nowhere")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Dex {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn issuer(port: u16) -> String {
    format!("http://127.0.0.1:{port}/dex")
}

/// JSON is YAML.
fn configuration(port: u16) -> Value {
    json!({
        "issuer": issuer(port),
        "storage": {"type": "memory"},
        "web": {"http": format!("127.0.0.1:{port}")},
        "oauth2": {
            "grantTypes": ["authorization_code", "refresh_token", "password", "urn:ietf:params:oauth:grant-type:device_code"],
            "passwordConnector": "local",
            "skipApprovalScreen": true,
        },
        "staticClients": [{"id": "sigstore", "name": "sigstore", "public": true, "redirectURIs": ["/device/callback"]}],
        "enablePasswordDB": true,
        "staticPasswords": [{"email": EMAIL, "username": "dev", "userID": "u1", "hash": PASSWORD.1}],
    })
}

/// Where the page's form goes.
fn target(page: &Url, html: &str) -> String {
    let action = html.split_once("action=\"").and_then(|(_, rest)| rest.split_once('"'));
    let action = action.unwrap_or_else(|| panic!("no form at {page}: {html}")).0.replace("&amp;", "&");
    page.join(&action).unwrap_or_else(|error| panic!("{action}: {error}")).into()
}
