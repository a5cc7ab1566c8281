//! Lists: their order, their pages, and what the database does for them.

use oci::{Digest, Tag};

use super::support::{World, name, tag};

#[tokio::test]
async fn tags_in_the_order_of_their_bytes() {
    let world = World::new().await;
    world.image("a", "layer", &["b", "B", "a", "_", "1.0", "a.b", "A"]).await;
    let list = async |last: Option<&str>, n| {
        let last: Option<Tag> = last.map(tag);
        let found = world.store.tags(&name("a"), last.as_ref(), n).await.unwrap().unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list(None, 100).await, "1.0 A B _ a a.b b");
    assert_eq!(list(None, 2).await, "1.0 A");
    assert_eq!(list(Some("A"), 2).await, "B _");
    assert_eq!(list(Some("AA"), 1).await, "B", "the last need not be there");
    assert_eq!((list(None, 0).await, list(Some("b"), 5).await), (String::new(), String::new()));
}

#[tokio::test]
async fn an_unknown_repository_is_not_an_empty_one() {
    let world = World::new().await;
    assert_eq!(world.store.tags(&name("a"), None, 5).await.unwrap(), None);
    world.image("a", "layer", &[]).await;
    assert_eq!(world.store.tags(&name("a"), None, 5).await.unwrap(), Some(vec![]));
    world.blob("b/c", b"x").await;
    world.blob("b", b"x").await;
    assert_eq!(world.store.repositories(None, 2).await.unwrap(), [name("a"), name("b")]);
    assert_eq!(world.store.repositories(Some(&name("b")), 2).await.unwrap(), [name("b/c")]);
}

#[tokio::test]
async fn referrers_come_oldest_first_and_outlive_their_subject() {
    let world = World::new().await;
    let subject = world.image("a", "subject", &["x"]).await;
    assert!(world.referrers("a", &subject).await.is_empty());
    let mut expected = Vec::new();
    for content in ["c", "a", "b"] {
        expected.push(world.referrer("a", &subject, content).await);
        assert_eq!(world.referrers("a", &subject).await, expected, "at once");
    }
    let listed = world.store.referrers(&name("a"), &subject).await.unwrap();
    assert_eq!(listed[0].artifact_type.as_deref(), Some("application/signature"));
    let entry: serde_json::Value = serde_json::from_str(&listed[0].descriptor).unwrap();
    assert_eq!((&entry["digest"], &entry["annotations"]["content"]), (&expected[0].as_str().into(), &"c".into()));
    assert!(world.referrers("b", &subject).await.is_empty(), "another repository");
    assert!(world.store.delete_manifest(&name("a"), &subject, vec![], "tester").await.unwrap());
    assert_eq!(world.referrers("a", &subject).await, expected);
    assert!(world.store.delete_manifest(&name("a"), &expected.remove(1), vec![], "tester").await.unwrap());
    assert_eq!(world.referrers("a", &subject).await, expected, "a referrer that is gone is listed no more");
    let world = world.reopened().await;
    assert_eq!(world.referrers("a", &subject).await, expected);
}

#[tokio::test]
async fn no_read_looks_through_a_repository() {
    let world = World::new().await;
    let plan = async |statement: &str| {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(world.store.readers()).await.unwrap();
        rows.into_iter().map(|row| row.3).collect::<Vec<_>>()
    };
    let referrers = plan(crate::store::read::REFERRERS).await;
    assert!(
        referrers[0].starts_with("SEARCH manifest USING INDEX manifest_subject (repository=? AND subject=?)"),
        "{referrers:?}"
    );
    assert!(!referrers.iter().any(|step| step.contains("TEMP B-TREE")), "the index has the order: {referrers:?}");
    let others = crate::store::proxy::EVERY.into_iter().chain([crate::store::reach::REACHED]);
    for statement in crate::store::read::EVERY.into_iter().chain(others) {
        let steps = plan(statement).await;
        let scans: Vec<_> = steps
            .iter()
            .filter(|step| step.starts_with("SCAN") && !step.ends_with("CONSTANT ROW") && *step != "SCAN up")
            // A list in one value: json_each.
            .filter(|step| !step.contains("VIRTUAL TABLE"))
            .collect();
        assert!(scans.is_empty(), "{statement}: {steps:?}");
    }
}

#[tokio::test]
async fn what_a_tag_reaches() {
    let world = World::new().await;
    let reached = async |digest: &Digest| world.store.reached_by_tag(&name("a"), digest).await.unwrap();
    let leaf = world.image("a", "leaf", &[]).await;
    let inner = world.push("a", &super::support::index(&[&leaf]), &[]).await;
    assert_eq!(reached(&leaf).await, None);
    let outer = world.push("a", &super::support::index(&[&inner, &leaf]), &["z", "m"]).await;
    let signature = world.referrer("a", &leaf, "signature").await;
    for digest in [&leaf, &inner, &outer, &signature] {
        assert_eq!(reached(digest).await, Some(tag("m")), "the first by name");
    }
    world.push("b", &super::support::index(&[]), &["b"]).await;
    assert_eq!(world.store.reached_by_tag(&name("b"), &leaf).await.unwrap(), None, "another repository");
    assert!(world.store.delete_tag(&name("a"), &tag("m"), "tester").await.unwrap());
    assert_eq!(reached(&leaf).await, Some(tag("z")));
    assert!(world.store.delete_manifest(&name("a"), &outer, vec![], "tester").await.unwrap());
    assert_eq!(reached(&leaf).await, None);
}

#[tokio::test]
async fn indexes_that_contain_each_other_end() {
    let world = World::new().await;
    let leaf = world.image("a", "leaf", &[]).await;
    let one = world.push("a", &super::support::index(&[&leaf]), &[]).await;
    let two = world.push("a", &super::support::index(&[&one]), &[]).await;
    // Digests cannot make a circle; what wrote the rows might have.
    let edge = "INSERT INTO child (repository, digest, parent) SELECT repository, $1, id FROM manifest WHERE digest = $2";
    let edge = sqlx::query(edge).bind(two.as_str()).bind(one.as_str());
    edge.execute(world.store.0.database.writer()).await.unwrap();
    assert_eq!(world.store.reached_by_tag(&name("a"), &leaf).await.unwrap(), None);
}
