//! gRPC: `dev.sigstore.fulcio.v2.CA` and the health check.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response as HttpResponse};
use chassis::layers::{Failure, Refusal};
use http::{HeaderMap, header};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};

use super::deadline;
use super::errors::Answer;
use crate::App;
use crate::identity::IssuerSummary;
use crate::issuance::{Request as IssueRequest, RequestedKey};
use crate::proto::health::health_check_response::ServingStatus;
use crate::proto::health::health_server::{Health, HealthServer};
use crate::proto::health::{HealthCheckRequest, HealthCheckResponse};
use crate::proto::v2::ca_server::{Ca, CaServer};
use crate::proto::v2::create_signing_certificate_request::Key;
use crate::proto::v2::{
    CertificateChain, Configuration, CreateSigningCertificateRequest, GetConfigurationRequest, GetTrustBundleRequest, OidcIssuer,
    SigningCertificate, SigningCertificateEmbeddedSct, TrustBundle, credentials, oidc_issuer, signing_certificate,
};

/// Callers that speak gRPC directly may put the token into this metadata; `authorization` is for HTTP only.
const TOKEN_METADATA: &str = "oidcidentitytoken";

pub(crate) fn routes(app: Arc<App>) -> Router {
    let ca = CaServer::new(Service(app));
    // Its own fallback would answer every unknown path of the merged router with 200.
    Routes::new(ca).add_service(HealthServer::new(Alive)).prepare().into_axum_router().reset_fallback()
}

pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// For a gRPC call to a service that is not here.
pub(crate) fn unknown_method() -> HttpResponse {
    Status::unimplemented("unknown service or method").into_http::<axum::body::Body>().into_response()
}

/// What the layers around the services answer.
pub(crate) fn refused(refusal: &Refusal) -> HttpResponse {
    let code = match refusal {
        Refusal::Panicked => Code::Unknown,
        Refusal::TimedOut { .. } => Code::DeadlineExceeded,
        Refusal::TooLarge { .. } => Code::ResourceExhausted,
        Refusal::CutShort => Code::InvalidArgument,
    };
    let message = chassis::reason::coded(refusal.code(), &refusal.to_string());
    Failure::new(refusal.code(), refusal).attach(Status::new(code, message).into_http::<axum::body::Body>().into_response())
}

#[derive(Debug)]
struct Service(Arc<App>);

#[tonic::async_trait]
impl Ca for Service {
    async fn create_signing_certificate(
        &self,
        request: Request<CreateSigningCertificateRequest>,
    ) -> Result<Response<SigningCertificate>, Status> {
        let (metadata, _, message) = request.into_parts();
        let token = match message.credentials.and_then(|credentials| credentials.credentials) {
            Some(credentials::Credentials::OidcIdentityToken(token)) if !token.is_empty() => token,
            _ => token_in(&metadata),
        };
        let key = match message.key {
            Some(Key::CertificateSigningRequest(csr)) if !csr.is_empty() => RequestedKey::Csr(csr),
            Some(Key::PublicKeyRequest(key)) => {
                let content = key.public_key.map(|key| key.content).unwrap_or_default();
                RequestedKey::PublicKey { key: content.into_bytes(), proof: key.proof_of_possession }
            }
            _ => RequestedKey::PublicKey { key: Vec::new(), proof: Vec::new() },
        };
        let headers = metadata.into_headers();
        let issued = deadline::within(&headers, self.0.issue(IssueRequest { token, key })).await.map_err(Answer::into_status)?;
        let certificates = issued.pems().into_iter().map(str::to_owned).collect();
        let embedded = SigningCertificateEmbeddedSct { chain: Some(CertificateChain { certificates }) };
        let certificate = signing_certificate::Certificate::SignedCertificateEmbeddedSct(embedded);
        Ok(Response::new(SigningCertificate { certificate: Some(certificate) }))
    }

    async fn get_trust_bundle(&self, _: Request<GetTrustBundleRequest>) -> Result<Response<TrustBundle>, Status> {
        Ok(Response::new(TrustBundle { chains: vec![CertificateChain { certificates: self.0.trust_bundle() }] }))
    }

    async fn get_configuration(&self, _: Request<GetConfigurationRequest>) -> Result<Response<Configuration>, Status> {
        Ok(Response::new(Configuration { issuers: self.0.issuers().iter().map(issuer).collect() }))
    }
}

/// Exactly one value counts.
fn token_in(metadata: &tonic::metadata::MetadataMap) -> String {
    let mut values = metadata.get_all(TOKEN_METADATA).iter();
    match (values.next(), values.next()) {
        (Some(token), None) => token.to_str().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

fn issuer(summary: &IssuerSummary) -> OidcIssuer {
    let url = summary.url.clone();
    OidcIssuer {
        issuer: Some(if summary.wildcard {
            oidc_issuer::Issuer::WildcardIssuerUrl(url)
        } else {
            oidc_issuer::Issuer::IssuerUrl(url)
        }),
        audience: summary.audience.clone(),
        challenge_claim: summary.challenge_claim.to_owned(),
        spiffe_trust_domain: String::new(),
        issuer_type: summary.issuer_type.to_owned(),
        subject_domain: summary.subject_domain.clone(),
        skip_email_verification: summary.skip_email_verification,
    }
}

#[derive(Debug)]
struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }
}
