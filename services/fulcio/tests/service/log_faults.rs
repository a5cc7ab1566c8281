//! 19: without a verified promise of the log there is no certificate, and the caller hears so in time.

use std::time::{Duration, Instant};

use crate::support::log::Mood;
use crate::support::{EMAIL, Fixture};

const SENTENCE: &str = "Error entering certificate in CTL: ";

#[tokio::test]
async fn what_the_log_answers_wrongly() {
    let f = Fixture::new().await;
    for (mood, reason) in [
        (Mood::OtherKey, "[ct_sct_invalid] the SCT does not verify under the configured key of the certificate log"),
        (Mood::OtherLog, "[ct_sct_invalid] "),
        (Mood::Trailing, "[ct_malformed] the answer of the certificate log is not an SCT: "),
        (Mood::Garbage, "[ct_malformed] "),
        (Mood::Huge, "[ct_malformed] "),
        (Mood::Status(400), "[ct_refused] the certificate log "),
        (Mood::Status(201), "[ct_refused] "),
        (Mood::Status(500), "[ct_refused] "),
    ] {
        f.log.set(mood);
        let begun = Instant::now();
        let message = f.sign_as(&f.email_token(), EMAIL).await.refusal(503, 14);
        assert!(message.starts_with(&format!("{SENTENCE}{reason}")), "{mood:?}: {message}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{mood:?} is not tried again");
    }
    f.log.set(Mood::Status(400));
    let message = f.sign_as(&f.email_token(), EMAIL).await.refusal(503, 14);
    assert!(message.ends_with("answered 400 Bad Request, expected 200: the log says no"), "{message}");
    f.log.set(Mood::Good);
    f.sign_as(&f.email_token(), EMAIL).await.leaf();
}

#[tokio::test]
async fn a_busy_log_is_asked_again() {
    let f = Fixture::new().await;
    f.log.set(Mood::Busy(3));
    f.sign_as(&f.email_token(), EMAIL).await.leaf();
    assert_eq!(f.log.submissions().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_stays_away_costs_ten_seconds() {
    let busy = Fixture::new().await;
    busy.log.set(Mood::Busy(u32::MAX));
    let hanging = Fixture::new().await;
    hanging.log.set(Mood::Hang);
    let gone = Fixture::with(|config| config["ct_log"]["url"] = "http://127.0.0.1:1/log".into()).await;
    let limit = Duration::from_secs(12);
    let ask = async |f: &Fixture| {
        let begun = Instant::now();
        let message = f.sign_as(&f.email_token(), EMAIL).await.refusal(503, 14);
        assert!(begun.elapsed() < limit, "{message}");
        assert!(message.starts_with("Error entering certificate in CTL: [ct_unreachable] "), "{message}");
        message
    };
    let (busy, hanging, gone) = tokio::join!(ask(&busy), ask(&hanging), ask(&gone));
    assert!(busy.contains("answered 503"), "{busy}");
    assert!(hanging.contains("gave no answer within 10 s"), "{hanging}");
    assert!(gone.contains("refused"), "{gone}");
}

/// The caller's own limit ends the wait.
#[tokio::test]
async fn a_callers_deadline_counts() {
    let f = Fixture::new().await;
    f.log.set(Mood::Hang);
    let bearer = format!("Bearer {}", f.email_token());
    let body = crate::support::p256_request(EMAIL).await.to_string();
    let headers = [("authorization", bearer.as_str()), ("grpc-timeout", "300m")];
    let answer = f.send(http::Method::POST, "/api/v2/signingCert", &headers, body).await;
    assert!(answer.refusal(504, 4).starts_with('['));
}
