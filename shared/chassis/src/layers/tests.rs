use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

use super::drain::MOST;
use super::*;

fn app(stack: Stack) -> Router {
    let routes = Router::new()
        .route("/panic", get(async || -> &'static str { panic!("secret detail") }))
        .route("/slow", get(async || std::future::pending::<()>().await))
        .route("/echo", post(async |body: Bytes| body))
        .route("/id", get(async |request: Request<Body>| request.extensions().get::<RequestId>().unwrap().as_str().to_owned()))
        .route(
            "/refuse",
            get(async || Failure::new("not_here", &std::io::Error::other("x")).attach(Response::new(Body::empty()))),
        );
    stack.apply(routes)
}

async fn ask(app: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn to(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn send(body: Body) -> Request<Body> {
    Request::post("/echo").body(body).unwrap()
}

#[tokio::test]
async fn a_panic_is_answered_in_the_services_shape_and_tells_nothing() {
    let app = app(Stack::new("test").refuse_with(|refusal| {
        let mut response = Response::new(Body::from(format!("{{\"code\":13,\"message\":\"{}\"}}", refusal.reason())));
        *response.status_mut() = refusal.status();
        response
    }));
    let (status, headers, body) = ask(&app, to("/panic")).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body, "{\"code\":13,\"message\":\"[internal] internal error; the log has the details under this request id\"}");
    assert!(headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn a_slow_handler_is_answered_for() {
    let app = app(Stack::new("test").time_limit(Duration::from_millis(20)));
    let (status, _, body) = ask(&app, to("/slow")).await;
    assert_eq!((status, body.as_str()), (StatusCode::GATEWAY_TIMEOUT, "[timed_out] no answer within 0.02 s; try again later\n"));
}

#[tokio::test]
async fn a_body_is_bounded_whether_it_says_its_length_or_not() {
    let app = app(Stack::new("test").body_limit(8));
    assert_eq!(ask(&app, send("12345678".into())).await.2, "12345678");
    let chunked = |text: &'static str| Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(text), Ok("5678")]));
    assert_eq!(ask(&app, send(chunked("1234"))).await.2, "12345678");
    let (status, _, body) = ask(&app, send(chunked("12345"))).await;
    let text = "[body_too_large] the body is larger than 8 bytes, the most accepted here\n";
    assert_eq!((status, body.as_str()), (StatusCode::PAYLOAD_TOO_LARGE, text));

    let unread = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let mut request = send(unread);
    request.headers_mut().insert("content-length", "9".parse().unwrap());
    assert_eq!(ask(&app, request).await.0, StatusCode::PAYLOAD_TOO_LARGE, "what declares too much is not waited for");
}

/// Answers the length of a body, large ones when they are let; says how many large ones are in the handler.
fn held(stack: Stack) -> (Router, Arc<Semaphore>, Arc<Semaphore>) {
    let (entered, release) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (inside, go_on) = (entered.clone(), release.clone());
    let echo = async move |body: Bytes| {
        if body.len() > SMALL_BODY {
            inside.add_permits(1);
            go_on.acquire().await.unwrap().forget();
        }
        body.len().to_string()
    };
    (stack.apply(Router::new().route("/echo", post(echo))), entered, release)
}

fn sized(length: usize) -> Request<Body> {
    let mut request = send(vec![b'x'; length].into());
    request.headers_mut().insert("content-length", length.into());
    request
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Whoever sends large bodies gets in the way of other large bodies, never of those that clients send.
#[tokio::test]
async fn large_bodies_wait_for_memory_and_small_ones_do_not() {
    // Room for four of two pieces each.
    let (app, entered, release) = held(Stack::new("test").body_limit(4 * SMALL_BODY).body_memory(8 * SMALL_BODY));
    let large: Vec<_> = (0..5).map(|_| tokio::spawn(app.clone().oneshot(sized(SMALL_BODY + 1)))).collect();
    entered.acquire_many(4).await.unwrap().forget();

    assert_eq!(ask(&app, sized(SMALL_BODY)).await.2, SMALL_BODY.to_string());
    settle().await;
    assert_eq!(entered.available_permits(), 0, "one more large body is in memory than may be");
    release.add_permits(large.len());
    for one in large {
        assert_eq!(one.await.unwrap().unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_takes_the_room_of_the_largest() {
    let (app, entered, release) = held(Stack::new("test").body_limit(4 * SMALL_BODY).body_memory(5 * SMALL_BODY));
    let chunks = [vec![b'x'; SMALL_BODY], vec![b'x'; 1]].map(Ok::<_, std::io::Error>);
    let unknown = tokio::spawn(app.clone().oneshot(send(Body::from_stream(futures_util::stream::iter(chunks)))));
    entered.acquire().await.unwrap().forget();
    let declared = tokio::spawn(app.clone().oneshot(sized(SMALL_BODY + 1)));
    settle().await;
    assert_eq!(entered.available_permits(), 0, "two pieces are not free while four of five are taken");
    release.add_permits(2);
    assert_eq!(unknown.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(declared.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_as_large_as_all_memory_passes() {
    let (app, _, release) = held(Stack::new("test").body_limit(3 * SMALL_BODY + 1).body_memory(1));
    release.add_permits(1);
    assert_eq!(ask(&app, sized(3 * SMALL_BODY + 1)).await.2, (3 * SMALL_BODY + 1).to_string());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let broken = Body::from_stream(futures_util::stream::iter([Ok("12"), Err(std::io::Error::other("reset"))]));
    let (status, _, body) = ask(&app(Stack::new("test")), send(broken)).await;
    assert_eq!((status, body.as_str()), (StatusCode::BAD_REQUEST, "[body_cut_short] the body ended early\n"));
}

#[tokio::test]
async fn a_large_body_passes_when_the_service_counts_for_itself() {
    let app = app(Stack::new("test").streaming());
    assert_eq!(ask(&app, send(Body::from(vec![b'x'; 3 << 20]))).await.2.len(), 3 << 20);
}

#[tokio::test]
async fn some_requests_are_granted_more_or_less_than_the_others() {
    let strict = Stack::new("test").except(|request| {
        request.headers().contains_key("x-special").then_some(Grant { time_limit: Duration::from_secs(1), body_limit: Some(2) })
    });
    let app = app(strict.body_limit(8));
    let special = |text: &'static str| {
        let mut request = send(text.into());
        request.headers_mut().insert("x-special", "1".parse().unwrap());
        request
    };
    assert_eq!(ask(&app, send("1234".into())).await.2, "1234");
    assert_eq!(ask(&app, special("12")).await.2, "12");
    assert_eq!(ask(&app, special("1234")).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn an_id_is_kept_when_harmless_and_replaced_when_not() {
    let app = app(Stack::new("test"));
    let with = |id: &str| Request::get("/id").header("x-request-id", id).body(Body::empty()).unwrap();
    let (_, headers, body) = ask(&app, with("abc-1.2_3")).await;
    assert_eq!((headers["x-request-id"].to_str().unwrap(), body.as_str()), ("abc-1.2_3", "abc-1.2_3"));
    for harmful in ["a b", "a\"b", &"x".repeat(65), ""] {
        let (_, headers, body) = ask(&app, with(harmful)).await;
        assert_eq!(headers["x-request-id"].to_str().unwrap(), body);
        assert_eq!(body.len(), 32, "{body}");
    }
}

#[test]
fn answers_are_counted_under_our_names_and_upstreams() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let names =
                MetricNames { requests: Some("up_requests_total"), latency: Some("up_latency"), request_size: Some("up_size") };
            let app = app(Stack::new("test").count_as(names));
            ask(&app, send("12".into())).await;
            ask(&app, to("/refuse")).await;
            ask(&app, Request::builder().method("INVENTED").uri("/nowhere").body(Body::empty()).unwrap()).await;
        });
    });
    let text = handle.render();
    for line in [
        "http_requests_total{service=\"test\",code=\"200\",method=\"POST\"} 1",
        "http_requests_total{service=\"test\",code=\"404\",method=\"other\"} 1",
        "up_requests_total{code=\"200\",method=\"POST\"} 1",
        "up_latency_count{code=\"200\",method=\"POST\"} 1",
        "up_size_sum{method=\"POST\"} 2",
        "refused_requests_total{service=\"test\",reason=\"not_here\"} 1",
    ] {
        assert!(text.contains(line), "{line} missing in:\n{text}");
    }
}

/// A server with a limit of 8 bytes.
async fn strict() -> (crate::serve::Serving, std::net::SocketAddr) {
    let listener = crate::listen::Listener::bind("test", &crate::listen::ListenConfig::loopback(0)).await.unwrap();
    let address = listener.addresses()[0];
    let router = app(Stack::new("test").body_limit(8));
    (crate::serve::Serving::start(listener, router, crate::serve::Limits::default()), address)
}

const SIZED: &str = "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 6291456\r\n\r\n";
const CHUNKED: &str = "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(bytes: usize) -> Vec<u8> {
    [format!("{bytes:x}\r\n").into_bytes(), vec![b'x'; bytes], b"\r\n".to_vec()].concat()
}

/// As many clients do: everything is written before anything is read.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_still_writing_a_body_too_large_gets_the_answer() {
    let (_serving, address) = strict().await;
    let chunked = [CHUNKED.as_bytes(), &chunk(6 << 20), b"0\r\n\r\n"].concat();
    let sized = [SIZED.as_bytes(), &[b'x'; 6 << 20]].concat();
    for request in [&sized, &chunked] {
        for _ in 0..10 {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            for piece in request.chunks(64 << 10) {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("[body_too_large]"), "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_end_is_not_read_for_ever() {
    let (_serving, address) = strict().await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(CHUNKED.as_bytes()).await.unwrap();
    let (chunk, mut written) = (chunk(1 << 20), 0);
    while stream.write_all(&chunk).await.is_ok() {
        written += chunk.len();
        assert!(written < MOST + (64 << 20), "more than the limit and all buffers on the way");
    }
}

/// Who waits for leave to send gets the answer instead.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_to_send_what_is_too_large() {
    let (_serving, address) = strict().await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(SIZED.replace("\r\nhost", "\r\nexpect: 100-continue\r\nhost").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}
