//! The admin listener: health, readiness, metrics, the log filter. It carries no secrets and changes nothing but the filter,
//! yet belongs on loopback or a network of its own.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /healthz` | 200 as long as the process answers at all; depends on nothing |
//! | `GET /readyz` | 200 when every check passes, else 503 with the reasons; `?verbose` for JSON with each check |
//! | `GET /metrics` | Prometheus text |
//! | `GET /log`, `PUT /log` | the log filter; the body of a PUT is the new one, such as `info,rekor=debug` |

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};

use crate::layers::Stack;
use crate::ready::{Readiness, ReadyReport};
use crate::reason::{chain, coded};
use crate::report::Explain as _;
use crate::telemetry::Telemetry;

/// The routes of the admin listener.
pub fn router(readiness: Readiness, telemetry: Telemetry) -> Router {
    const LONGEST_FILTER: usize = 4_096;
    let routes = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(metrics).with_state(telemetry.clone()))
        .route("/log", get(current_filter).put(set_filter).with_state(telemetry));
    Stack::new("admin").body_limit(LONGEST_FILTER).apply(routes)
}

async fn readyz(State(readiness): State<Readiness>, RawQuery(query): RawQuery) -> Response {
    let report = readiness.report().await;
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if query.is_some_and(|query| query.split('&').any(|pair| pair.split('=').next() == Some("verbose"))) {
        (status, Json(report)).into_response()
    } else {
        (status, summary(&report)).into_response()
    }
}

fn summary(report: &ReadyReport) -> String {
    if report.ready {
        return "ok\n".into();
    }
    let failed = report.checks.iter().filter_map(|check| {
        let reason = check.reason.as_ref()?;
        Some(format!("{}: {}: {reason}\n", check.service, check.check))
    });
    failed.collect()
}

async fn metrics(State(telemetry): State<Telemetry>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry.metrics.render()).into_response()
}

async fn current_filter(State(telemetry): State<Telemetry>) -> String {
    telemetry.log.current() + "\n"
}

async fn set_filter(State(telemetry): State<Telemetry>, directives: String) -> Response {
    match telemetry.log.set(&directives) {
        Ok(()) => {
            let filter = telemetry.log.current();
            tracing::warn!(filter, "the log filter was changed");
            (filter + "\n").into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, coded(error.code(), &chain(&error)) + "\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::ready::{Gate, ReadyCheck};
    use crate::telemetry::{LogFilter, Metrics};

    async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, String) {
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    fn to(path: &str) -> Request<Body> {
        Request::get(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn health_readiness_metrics_and_filter() {
        let (layer, log) = LogFilter::new("info").unwrap();
        let _subscriber = tracing_subscriber::registry().with(layer);
        let gate = Gate::new("proof");
        let readiness = Readiness::new(vec![("lab", gate.clone() as Arc<dyn ReadyCheck>)]);
        let router = router(readiness, Telemetry { log, metrics: Metrics::detached() });

        assert_eq!(ask(&router, to("/healthz")).await, (StatusCode::OK, "ok\n".into()));
        assert_eq!(ask(&router, to("/readyz")).await, (StatusCode::SERVICE_UNAVAILABLE, "lab: proof: not done yet\n".into()));
        let (status, verbose) = ask(&router, to("/readyz?verbose")).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(verbose, r#"{"ready":false,"checks":[{"service":"lab","check":"proof","reason":"not done yet"}]}"#);
        gate.open();
        assert_eq!(ask(&router, to("/readyz")).await, (StatusCode::OK, "ok\n".into()));
        assert_eq!(
            ask(&router, to("/readyz?verbose=1")).await.1,
            r#"{"ready":true,"checks":[{"service":"lab","check":"proof"}]}"#
        );
        assert_eq!(ask(&router, to("/metrics")).await.0, StatusCode::OK);

        let put = |body: &'static str| Request::put("/log").body(Body::from(body)).unwrap();
        assert_eq!(ask(&router, put("debug")).await, (StatusCode::OK, "debug\n".into()));
        let (status, refused) = ask(&router, put("rekor=loud")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(refused.starts_with("[log_filter] rekor=loud is no log filter"), "{refused}");
        assert_eq!(ask(&router, to("/log")).await.1, "debug\n");
    }
}
