use std::future::pending;
use std::sync::{Arc, Mutex};

use axum::routing::get;
use tokio::sync::Notify;

use super::*;
use crate::client::http_client;
use crate::listen::ListenConfig;
use crate::telemetry::{LogFilter, Metrics};

const SOON: Duration = Duration::from_millis(100);

async fn bound(name: &'static str) -> Listener {
    Listener::bind(name, &ListenConfig::loopback(0)).await.unwrap()
}

async fn text(url: String) -> Option<String> {
    http_client(&[]).unwrap().get(url).send().await.ok()?.text().await.ok()
}

#[tokio::test]
async fn whoever_drains_can_still_call_those_after_it() {
    let (front, back, admin) = (bound("front").await, bound("back").await, bound("admin").await);
    let (front_url, back_url, admin_url) = (front.url(), back.url(), admin.url());
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, go_on) = (entered.clone(), release.clone());
    let calls_back = get(async move || {
        inside.notify_one();
        go_on.notified().await;
        text(back_url).await.unwrap_or_default()
    });
    let finished = Arc::new(Mutex::new(Vec::new()));
    let finish = |name: &'static str| {
        let finished = finished.clone();
        async move { finished.lock().unwrap().push(name) }
    };
    let services = vec![
        Service::new(front, Router::new().route("/", calls_back)).finish_with(finish("front")),
        Service::new(back, Router::new().route("/", get(async || "from behind"))).finish_with(finish("back")),
    ];
    let telemetry = Telemetry { log: LogFilter::new("info").unwrap().1, metrics: Metrics::detached() };
    let running = Process::new(services).admin(admin, telemetry).start();
    running.readiness().ready().await;
    assert_eq!(text(format!("{admin_url}/readyz")).await.unwrap(), "ok\n");

    let shutdown = Shutdown::new();
    let ended = tokio::spawn(running.until(shutdown.clone()));
    let asked = tokio::spawn(text(front_url));
    entered.notified().await;
    shutdown.ask();
    while text(format!("{admin_url}/readyz")).await.unwrap() == "ok\n" {}
    release.notify_one();
    assert_eq!(asked.await.unwrap().unwrap(), "from behind");
    let ended = ended.await.unwrap();
    assert_eq!((ended.exit_code(), ended), (0, Ended::Drained));
    assert_eq!(*finished.lock().unwrap(), ["front", "back"]);
    assert!(text(admin_url).await.is_none());
}

#[tokio::test]
async fn the_grace_time_ends_and_says_so() {
    let (slow, stuck) = (bound("slow").await, bound("stuck").await);
    let url = slow.url();
    let entered = Arc::new(Notify::new());
    let inside = entered.clone();
    let hangs = get(async move || {
        inside.notify_one();
        pending::<()>().await;
    });
    let services =
        vec![Service::new(slow, Router::new().route("/", hangs)), Service::new(stuck, Router::new()).finish_with(pending())];
    let running = Process::new(services).grace(SOON).start();
    let asked = tokio::spawn(text(url));
    entered.notified().await;
    let shutdown = Shutdown::new();
    shutdown.ask();
    let ended = running.until(shutdown).await;
    assert_eq!(ended, Ended::Cut { connections: 1, unfinished: vec!["stuck"] });
    assert_eq!((ended.exit_code(), ended.to_string().contains("not finished: stuck")), (1, true));
    assert!(asked.await.unwrap().is_none());
}

#[tokio::test]
async fn a_second_wish_ends_at_once() {
    let services = vec![Service::new(bound("stuck").await, Router::new()).finish_with(pending())];
    let shutdown = Shutdown::new();
    let ended = tokio::spawn(Process::new(services).start().until(shutdown.clone()));
    shutdown.ask();
    shutdown.insist();
    assert_eq!(ended.await.unwrap(), Ended::AtOnce);
}

#[tokio::test]
async fn signals_ask_and_then_insist() {
    let shutdown = Shutdown::on_signals().unwrap();
    let send = |signal: &str| {
        let sent = std::process::Command::new("kill").args([signal, &std::process::id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    send("-TERM");
    shutdown.asked().await;
    assert!(!shutdown.insisted.is_cancelled());
    send("-INT");
    shutdown.insisted().await;
}
