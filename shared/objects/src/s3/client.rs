//! The client that speaks to the service, and to whoever hands out credentials.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Limited};
use object_store::ClientOptions;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use reqwest::redirect::Policy;

use crate::{MOST_BYTES, ObjectError};

const CONNECT: Duration = Duration::from_secs(5);
const ONE_REQUEST: Duration = Duration::from_secs(10);
/// An answer that says what is wrong is short.
const MOST_COMPLAINT: usize = 64 << 10;

/// Makes clients as the whole of Chancery has them: whom they trust, no proxy. They follow no redirect: a signature is for one host, and
/// the other would see the request.
#[derive(Debug)]
pub(super) struct Connector {
    secure: reqwest::Client,
    /// For loopback, and for the addresses on the link that containers and machines ask for their role, which speak no TLS.
    any: reqwest::Client,
}

impl Connector {
    pub(super) fn new(authorities: &[PathBuf]) -> Result<Self, ObjectError> {
        let client = |https_only| {
            let builder = chassis::http_client_builder(authorities)?.https_only(https_only).redirect(Policy::none());
            let built = builder.connect_timeout(CONNECT).timeout(ONE_REQUEST).build();
            built.map_err(chassis::ClientError::Build)
        };
        Ok(Self { secure: client(true)?, any: client(false)? })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let plain = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|allowed| allowed == "true");
        let client = if plain { &self.any } else { &self.secure };
        Ok(HttpClient::new(Bounded(client.clone())))
    }
}

/// A client that takes no more of an answer than can be of use.
#[derive(Debug)]
struct Bounded(reqwest::Client);

#[async_trait]
impl HttpService for Bounded {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = self.0.call(request).await?.into_parts();
        let most = if parts.status.is_success() { MOST_BYTES } else { MOST_COMPLAINT };
        let body = Limited::new(body, most).map_err(|error| match error.downcast::<HttpError>() {
            Ok(error) => *error,
            Err(error) => HttpError::new_boxed(HttpErrorKind::Decode, error),
        });
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}
