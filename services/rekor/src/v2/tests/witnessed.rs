//! A log with witnesses: small ones in this process that keep the rules, and others that break them.

use std::sync::Mutex;
use std::time::Duration;

use chassis::Explain as _;
use futures_util::FutureExt as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use note::{AddCheckpoint, Cosignature, NoteKey, VerifierKey};
use testkit::{Reply, Scripted, ScriptedRequest, wait_until};
use tokio::sync::Semaphore;

use super::*;
use crate::witness::{WithoutQuorum, WitnessesConfig};

const LIMIT: Duration = Duration::from_secs(20);

/// A witness of the log of these tests that knows its size and root, and nothing else.
struct Witness {
    key: FileKey,
    vkey: VerifierKey,
    seen: Mutex<(u64, Hash)>,
    time: u64,
}

impl Witness {
    fn new(name: &str) -> Arc<Self> {
        let key = FileKey::generate(KeyKind::Ed25519).unwrap();
        let cosigner = NoteKey::Cosigner(key.public_key().key_bytes().try_into().unwrap());
        let vkey = VerifierKey::new(name, cosigner).unwrap();
        Arc::new(Self { key, vkey, seen: Mutex::new((0, merkle::EMPTY_ROOT)), time: 1_800_000_000 })
    }

    /// Does what the specification says.
    fn add_checkpoint(&self, request: &ScriptedRequest) -> Reply {
        assert_eq!(request.line, "POST /w/add-checkpoint");
        let AddCheckpoint { old, proof, note } = std::str::from_utf8(&request.body).unwrap().parse().unwrap();
        let checkpoint: Checkpoint = note.text().parse().unwrap();
        let mut seen = self.seen.lock().unwrap();
        if old != seen.0 {
            return Reply::new(409, &[("content-type", "text/x.tlog.size")], format!("{}\n", seen.0));
        }
        if merkle::verify_consistency(old, checkpoint.size, &proof, &seen.1, &checkpoint.root).is_err() {
            return Reply::new(422, &[], "");
        }
        *seen = (checkpoint.size, checkpoint.root);
        Reply::new(200, &[], format!("{}\n", self.sign(note.text())))
    }

    fn sign(&self, text: &str) -> note::NoteSignature {
        let signature = self.key.sign(Cosignature::message(self.time, text).as_bytes()).now_or_never().unwrap().unwrap();
        Cosignature { time: self.time, signature: signature.try_into().unwrap() }.line(&self.vkey)
    }

    /// Whether a checkpoint carries its cosignature, which must then be good.
    fn is_on(&self, note: &str) -> bool {
        let note: SignedNote = note.parse().unwrap();
        let lines: Vec<_> = note.signatures_by(self.vkey.name(), self.vkey.hint()).collect();
        for line in &lines {
            let Cosignature { time, signature } = Cosignature::from_bytes(&line.signature).unwrap();
            self.key.public_key().verify(Cosignature::message(time, note.text()).as_bytes(), &signature).unwrap();
        }
        assert!(lines.len() < 2);
        lines.len() == 1
    }
}

/// Serves a witness that keeps the rules.
async fn honest(witness: &Arc<Witness>) -> Scripted {
    let witness = Arc::clone(witness);
    Scripted::start(move |request, _| Some(witness.add_checkpoint(request))).await
}

fn line(witness: &Witness, server: &Scripted) -> String {
    format!("witness {} {} {}/w\n", witness.vkey.name(), witness.vkey, server.url())
}

impl Fixture {
    /// The log with two entries and this policy, open.
    async fn witnessed(policy: &str, without_quorum: WithoutQuorum) -> (Self, RekorV2) {
        let mut fixture = Self::new();
        create(&fixture.config, fixture.clock.clone()).await.unwrap();
        fixture.set_witnesses(policy, without_quorum, "500ms");
        let rekor = fixture.open().await;
        (fixture, rekor)
    }

    fn set_witnesses(&mut self, policy: &str, without_quorum: WithoutQuorum, timeout: &str) {
        let path = self.dir.path().join("witnesses.policy");
        std::fs::write(&path, policy).unwrap();
        let timeout = timeout.parse().unwrap();
        self.config.witnesses = Some(WitnessesConfig { policy: path.into(), without_quorum, timeout, ca_cert: None });
    }
}

async fn published(router: &Router) -> String {
    let answer = get(router, "/checkpoint").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.text().to_owned()
}

/// The checkpoint in an answer: the log's line is the first and good, the proof leads to its root.
fn cosigned_answer(rekor: &RekorV2, answer: &Answer) -> String {
    let entry = answer.entry();
    let proof = entry.inclusion_proof.as_ref().unwrap();
    let envelope = proof.checkpoint.envelope.clone();
    let note: SignedNote = envelope.parse().unwrap();
    let own = &note.signatures()[0];
    assert_eq!(own.name, rekor.identity().origin);
    rekor.identity().public_key.verify(note.text().as_bytes(), &own.signature).unwrap();
    let checkpoint: Checkpoint = note.text().parse().unwrap();
    let hashes: Vec<Hash> = proof.hashes.iter().map(|hash| Hash::try_from(&**hash).unwrap()).collect();
    let leaf = leaf_hash(&entry.canonicalized_body);
    verify_inclusion(&leaf, entry.log_index, checkpoint.size, &hashes, &checkpoint.root).unwrap();
    assert_eq!((proof.tree_size, &*proof.root_hash), (checkpoint.size, &checkpoint.root.as_bytes()[..]));
    envelope
}

#[tokio::test]
async fn answers_and_the_checkpoint_carry_the_cosignatures() {
    let witness = Witness::new("w.example");
    let server = honest(&witness).await;
    let policy = format!("{}quorum w.example\n", line(&witness, &server));
    for without_quorum in [WithoutQuorum::Refuse, WithoutQuorum::Publish] {
        *witness.seen.lock().unwrap() = (0, merkle::EMPTY_ROOT);
        let (fixture, rekor) = Fixture::witnessed(&policy, without_quorum).await;
        let router = rekor.router();
        for number in 0..3 {
            let envelope = cosigned_answer(&rekor, &submit(&router, fixture.request(number).await).await);
            assert!(witness.is_on(&envelope), "{envelope}");
            assert_eq!(published(&router).await, envelope);
        }
        let requests = (0..40).map(|number| fixture.request(100 + number));
        let requests = join_all(requests).await;
        for answer in join_all(requests.into_iter().map(|request| submit(&router, request))).await {
            assert!(witness.is_on(&cosigned_answer(&rekor, &answer)));
        }
        // Many entries, few requests: a round takes the newest checkpoint.
        assert_eq!(witness.seen.lock().unwrap().0, 45);
        rekor.close().await;
    }
    assert!(server.lines().len() < 30, "{}", server.lines().len());
}

#[tokio::test]
async fn what_a_witness_has_seen_is_learnt_from_it() {
    let witness = Witness::new("w.example");
    let server = honest(&witness).await;
    let policy = format!("{}quorum w.example\n", line(&witness, &server));
    let (fixture, rekor) = Fixture::witnessed(&policy, WithoutQuorum::Refuse).await;
    submit(&rekor.router(), fixture.request(0).await).await.entry();
    rekor.close().await;

    let before = server.requests().len();
    let rekor = fixture.open().await;
    let envelope = cosigned_answer(&rekor, &submit(&rekor.router(), fixture.request(1).await).await);
    assert!(witness.is_on(&envelope));
    let olds: Vec<_> = server.requests()[before..]
        .iter()
        .map(|request| std::str::from_utf8(&request.body).unwrap().parse::<AddCheckpoint>().unwrap())
        .map(|request| (request.old, request.proof.is_empty()))
        .collect();
    assert_eq!(olds[..2], [(0, true), (3, true)], "asked from nothing, told 3, asked again with the same tree");
    assert_eq!(olds[2..], [(3, false)], "and then with a proof from there");
}

#[tokio::test]
async fn without_a_quorum_nothing_is_shown_and_the_entry_stays_logged() {
    let (one, two) = (Witness::new("w1.example"), Witness::new("w2.example"));
    let up = Arc::new(Mutex::new(false));
    let (first, second) = {
        let (up, two) = (Arc::clone(&up), Arc::clone(&two));
        (honest(&one).await, Scripted::start(move |request, _| up.lock().unwrap().then(|| two.add_checkpoint(request))).await)
    };
    let policy = format!("{}{}group both all w1.example w2.example\nquorum both\n", line(&one, &first), line(&two, &second));
    let (fixture, rekor) = Fixture::witnessed(&policy, WithoutQuorum::Refuse).await;
    let router = rekor.router();
    let request = fixture.request(0).await;
    let refused = submit(&router, request.clone()).await;
    assert!(refused.refusal(503, 14).contains("[log_not_cosigned]"));
    assert!(refused.header("retry-after").is_some());
    let unpublished = get(&router, "/checkpoint").await;
    assert!(unpublished.refusal(503, 14).contains("[log_not_cosigned]"));
    assert_eq!(rekor.app().log.checkpoint().size, 3, "it is logged");

    *up.lock().unwrap() = true;
    wait_until("the quorum cosigns", LIMIT, async || get(&router, "/checkpoint").await.status == StatusCode::OK).await;
    let answer = submit(&router, request).await;
    let envelope = cosigned_answer(&rekor, &answer);
    assert!(one.is_on(&envelope) && two.is_on(&envelope));
    assert_eq!(answer.header("x-log-index"), Some("2"), "the retry finds its entry");
}

#[tokio::test]
async fn without_a_quorum_the_log_goes_on_where_that_is_chosen() {
    let (one, two) = (Witness::new("w1.example"), Witness::new("w2.example"));
    let up = Arc::new(Mutex::new(false));
    let (first, second) = {
        let (up, two) = (Arc::clone(&up), Arc::clone(&two));
        (honest(&one).await, Scripted::start(move |request, _| up.lock().unwrap().then(|| two.add_checkpoint(request))).await)
    };
    let policy = format!("{}{}group both all w1.example w2.example\nquorum both\n", line(&one, &first), line(&two, &second));
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let (fixture, rekor) = Fixture::witnessed(&policy, WithoutQuorum::Publish).await;
    let router = rekor.router();
    let mut size = 0;
    for number in 0..20 {
        let envelope = cosigned_answer(&rekor, &submit(&router, fixture.request(number).await).await);
        assert!(!two.is_on(&envelope));
        let now = published(&router).await.lines().nth(1).unwrap().parse::<u64>().unwrap();
        assert!(now >= size && now >= number + 3, "what was shown stays shown: {now} after {size}");
        size = now;
    }
    let text = handle.render();
    assert!(text.contains(r#"chancery_log_witnessed_checkpoints_total{log="log1.rekor.example",quorum="met"} 0"#), "{text}");
    assert!(!text.contains(r#"quorum="missed"} 0"#), "{text}");
    assert!(text.contains(r#"witness="w2.example",outcome="unreachable""#), "{text}");
    wait_until("what cosignatures there are are published", LIMIT, async || one.is_on(&published(&router).await)).await;

    *up.lock().unwrap() = true;
    wait_until("the quorum cosigns", LIMIT, async || two.is_on(&published(&router).await)).await;
    let envelope = cosigned_answer(&rekor, &submit(&router, fixture.request(100).await).await);
    assert!(one.is_on(&envelope) && two.is_on(&envelope), "answers wait for it again");
    assert!(handle.render().contains(r#"chancery_log_cosignatures{log="log1.rekor.example"} 2"#));
}

#[tokio::test]
async fn slow_witnesses_keep_nobody_waiting_and_are_heard_when_they_answer() {
    let (quick, slow) = (Witness::new("quick.example"), Witness::new("slow.example"));
    let gate = Arc::new(Semaphore::new(0));
    let first = honest(&quick).await;
    let second = {
        let (gate, slow) = (Arc::clone(&gate), Arc::clone(&slow));
        Scripted::start(move |request, _| Some(slow.add_checkpoint(request).held_after(5, &gate))).await
    };
    let lines = format!("{}{}", line(&quick, &first), line(&slow, &second));
    let policy = format!("{lines}group either any quick.example slow.example\nquorum either\n");
    let mut fixture = Fixture::new();
    create(&fixture.config, fixture.clock.clone()).await.unwrap();
    // As long as the test: the slow witness is never given up.
    fixture.set_witnesses(&policy, WithoutQuorum::Refuse, "60s");
    let rekor = fixture.open().await;
    let router = rekor.router();
    for number in 0..5 {
        let envelope = cosigned_answer(&rekor, &submit(&router, fixture.request(number).await).await);
        assert!(quick.is_on(&envelope) && !slow.is_on(&envelope));
    }
    assert_eq!(second.lines().len(), 1, "it is asked once at a time");
    gate.add_permits(100);
    wait_until("the slow one is heard", LIMIT, async || {
        let envelope = published(&router).await;
        // Asked again once it is free, with whatever is the newest then.
        submit(&router, fixture.request(99).await).await.entry();
        quick.is_on(&envelope) && slow.is_on(&envelope)
    })
    .await;
}

/// What a witness that breaks the rules is counted as.
async fn outcome(answer: impl Fn(&Witness, &ScriptedRequest) -> Reply + Send + Sync + 'static) -> String {
    let witness = Witness::new("w.example");
    let server = {
        let witness = Arc::clone(&witness);
        Scripted::start(move |request, _| Some(answer(&witness, request))).await
    };
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let policy = format!("{}quorum w.example\n", line(&witness, &server));
    let (fixture, rekor) = Fixture::witnessed(&policy, WithoutQuorum::Refuse).await;
    let refused = submit(&rekor.router(), fixture.request(0).await).await;
    assert!(refused.refusal(503, 14).contains("log_not_cosigned"));
    let text = handle.render();
    let counted = text.lines().filter(|line| line.starts_with("chancery_log_witness_requests_total"));
    let outcomes: std::collections::BTreeSet<_> =
        counted.map(|line| line.split("outcome=\"").nth(1).unwrap().split('"').next().unwrap()).collect();
    let alarm = !text.contains(r#"chancery_log_witness_fork_alarms_total{log="log1.rekor.example",witness="w.example"} 0"#);
    let [outcome] = outcomes.into_iter().collect::<Vec<_>>()[..] else { panic!("{text}") };
    format!("{outcome}{}", if alarm { "!" } else { "" })
}

fn text_of(request: &ScriptedRequest) -> String {
    let request: AddCheckpoint = std::str::from_utf8(&request.body).unwrap().parse().unwrap();
    request.note.text().to_owned()
}

#[tokio::test]
async fn witnesses_that_break_the_rules_are_not_believed() {
    let other_key = |witness: &Witness, request: &ScriptedRequest| {
        let stranger = Witness::new("w.example");
        assert_ne!(stranger.vkey, witness.vkey);
        Reply::new(200, &[], format!("{}\n", stranger.sign(&text_of(request))))
    };
    assert_eq!(outcome(other_key).await, "answer");
    let other_text = |witness: &Witness, _: &ScriptedRequest| Reply::new(200, &[], format!("{}\n", witness.sign("a\n1\nb\n")));
    assert_eq!(outcome(other_text).await, "signature");
    let plain = |witness: &Witness, request: &ScriptedRequest| {
        let mut line = witness.sign(&text_of(request));
        line.signature = witness.key.sign(text_of(request).as_bytes()).now_or_never().unwrap().unwrap();
        Reply::new(200, &[], format!("{line}\n"))
    };
    assert_eq!(outcome(plain).await, "signature", "without a time");
    assert_eq!(outcome(|_, _| Reply::new(200, &[], "")).await, "answer");
    assert_eq!(outcome(|_, _| Reply::new(200, &[], "hello\n")).await, "answer");
    assert_eq!(outcome(|_, _| Reply::new(200, &[], vec![b'a'; 20_000])).await, "answer");
    assert_eq!(outcome(|_, _| Reply::new(200, &[], vec![0xff; 20])).await, "answer");
    assert_eq!(outcome(|_, _| Reply::new(404, &[], "")).await, "unknown_log");
    assert_eq!(outcome(|_, _| Reply::new(403, &[], "")).await, "unknown_key");
    assert_eq!(outcome(|_, _| Reply::new(400, &[], "")).await, "status");
    assert_eq!(outcome(|_, _| Reply::new(302, &[("location", "http://127.0.0.1:1/")], "")).await, "status");
    assert_eq!(outcome(|_, _| Reply::new(409, &[], "many\n")).await, "answer");
}

#[tokio::test]
async fn a_witness_that_has_seen_another_history_raises_the_alarm() {
    let conflict = |size: &'static str| move |_: &Witness, _: &ScriptedRequest| Reply::new(409, &[], size);
    assert_eq!(outcome(conflict("1000\n")).await, "fork!", "more than the log has");
    assert_eq!(outcome(conflict("0\n")).await, "fork!", "the size that was said, and not the tree");
    assert_eq!(outcome(|_, _| Reply::new(422, &[], "")).await, "fork!");
}

#[tokio::test]
async fn a_log_does_not_open_with_witnesses_that_cannot_be_asked() {
    let witness = Witness::new("w.example");
    let mut fixture = Fixture::new();
    create(&fixture.config, fixture.clock.clone()).await.unwrap();
    for (policy, code) in [
        (String::new(), "witness_policy_invalid"),
        (format!("witness w {}\nquorum w\n", witness.vkey), "witness_unusable"),
        (format!("witness w {} http://w.example\nquorum w\n", witness.vkey), "witness_unusable"),
        (format!("witness w {} https://me@w.example\nquorum w\n", witness.vkey), "witness_unusable"),
        (format!("witness w {} w.example\nquorum w\n", witness.vkey), "witness_unusable"),
    ] {
        fixture.set_witnesses(&policy, WithoutQuorum::Refuse, "1s");
        let error = open(&fixture.config, fixture.clock.clone(), None).await.map(drop).unwrap_err();
        assert_eq!((error.code(), error.advice().is_some()), (code, true), "{policy}");
    }
    fixture.config.witnesses.as_mut().unwrap().policy = fixture.dir.path().join("none").into();
    let error = open(&fixture.config, fixture.clock.clone(), None).await.map(drop).unwrap_err();
    assert_eq!(error.code(), "witness_policy_unreadable");
    assert!(error.details().iter().any(|line| line.contains("No such file")), "{:?}", error.details());
}

#[tokio::test]
async fn the_last_cosigned_checkpoint_is_shown_by_the_next_start() {
    let witness = Witness::new("w.example");
    let up = Arc::new(Mutex::new(true));
    let server = {
        let (up, witness) = (Arc::clone(&up), Arc::clone(&witness));
        Scripted::start(move |request, _| up.lock().unwrap().then(|| witness.add_checkpoint(request))).await
    };
    let policy = format!("{}quorum w.example\n", line(&witness, &server));
    let (mut fixture, rekor) = Fixture::witnessed(&policy, WithoutQuorum::Refuse).await;
    submit(&rekor.router(), fixture.request(0).await).await.entry();
    let shown = published(&rekor.router()).await;
    *up.lock().unwrap() = false;
    // Logged, and seen by no witness.
    assert_eq!(submit(&rekor.router(), fixture.request(1).await).await.status, StatusCode::SERVICE_UNAVAILABLE);
    rekor.close().await;

    let rekor = fixture.open().await;
    assert_eq!(published(&rekor.router()).await, shown);
    rekor.close().await;

    // Neither a changed file nor a changed policy shows what nobody would show otherwise.
    let file = fixture.dir.path().join("rekor.db.rekor-v2.head.cosigned");
    let whole = std::fs::read_to_string(&file).unwrap();
    assert_eq!(whole, shown);
    let refused = async |fixture: &Fixture| {
        let rekor = fixture.open().await;
        assert_eq!(get(&rekor.router(), "/checkpoint").await.status, StatusCode::SERVICE_UNAVAILABLE);
        rekor.close().await;
    };
    let (text, lines) = whole.split_once("\n\n").unwrap();
    let own = lines.lines().next().unwrap();
    for changed in
        ["".to_owned(), "x".repeat(note::MAX_NOTE_BYTES + 1), whole.replace("\n3\n", "\n4\n"), format!("{text}\n\n{own}\n")]
    {
        std::fs::write(&file, changed).unwrap();
        refused(&fixture).await;
    }
    std::fs::write(&file, &whole).unwrap();
    let other = Witness::new("w.example");
    fixture.set_witnesses(&format!("{}quorum w.example\n", line(&other, &server)), WithoutQuorum::Refuse, "500ms");
    refused(&fixture).await;
    fixture.set_witnesses(&policy, WithoutQuorum::Refuse, "500ms");
    *up.lock().unwrap() = true;
    let rekor = fixture.open().await;
    wait_until("a cosigned checkpoint of the whole log", LIMIT, async || {
        get(&rekor.router(), "/checkpoint").await.text().contains("\n4\n")
    })
    .await;
    rekor.close().await;
}
