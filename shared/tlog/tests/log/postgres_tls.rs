//! The line to a server on another machine: encrypted, and only to whom its certificate names.

use std::path::Path;

use testkit::{Postgres, TestCa};
use tlog::Store as _;
use tlog::postgres::{Address, Database, DatabaseError};

/// Opens a database over TCP with these parameters, as the user with the password.
async fn open(server: &Postgres, host: &str, database: &str, parameters: &str) -> Result<Database, DatabaseError> {
    let url = server.over_tcp(database).replace("@127.0.0.1:", &format!("@{host}:"));
    let password = std::fs::read_to_string(server.password_file()).unwrap();
    Database::prepare(Address::parse(&format!("{url}?{parameters}")).unwrap().with_password(&password)).await
}

/// What the refusal says is wrong.
async fn refused(server: &Postgres, host: &str, database: &str, parameters: &str) -> String {
    let error = open(server, host, database, parameters).await.expect_err("it is refused");
    assert_eq!(error.code(), "database_tls", "{error:?}");
    let details = error.details();
    assert!(details[0].contains(host) && !details.concat().contains("correct horse"), "{details:?}");
    details[1].trim_start_matches("TLS").trim_start().to_owned()
}

/// How many of the connections to a database are encrypted, and how many are not.
fn lines(server: &Postgres, database: &str) -> String {
    let name = database.rsplit('/').next().unwrap();
    let of_it = format!("FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = '{name}'");
    server.sql("postgres", &format!("SELECT string_agg(DISTINCT ssl::text, ' ') {of_it}"))
}

#[tokio::test]
async fn a_server_is_believed_by_its_certificate_alone() {
    let server = Postgres::start_with_tls(&["localhost"]);
    let folder = tempfile::tempdir().unwrap();
    let other = TestCa::new("other").write(folder.path(), "other");
    let url = server.database();
    let with = |mode: &str, authority: &Path| format!("sslmode={mode}&sslrootcert={}", authority.display());

    let database = open(&server, "localhost", &url, &with("verify-full", server.ca_file())).await.unwrap();
    assert!(database.log("test").state().await.unwrap().is_none());
    assert_eq!(lines(&server, &url), "true", "each connection is encrypted");
    database.close().await;

    let wrong_host = refused(&server, "127.0.0.1", &url, &with("verify-full", server.ca_file())).await;
    assert!(wrong_host.contains("not valid for name \"127.0.0.1\""), "{wrong_host}");
    open(&server, "127.0.0.1", &url, &with("verify-ca", server.ca_file())).await.unwrap().close().await;

    for mode in ["verify-full", "verify-ca"] {
        let unknown = refused(&server, "localhost", &url, &with(mode, &other)).await;
        assert!(unknown.contains("UnknownIssuer"), "{unknown}");
        let unknown = refused(&server, "localhost", &url, &format!("sslmode={mode}")).await;
        assert!(unknown.contains("UnknownIssuer"), "by default this machine's authorities count: {unknown}");
    }
}

#[tokio::test]
async fn a_server_without_tls_and_files_that_cannot_be_used_are_named() {
    let server = Postgres::shared();
    let url = server.database();
    assert!(refused(server, "localhost", &url, "sslmode=verify-full").await.contains("server does not support TLS"));
    let folder = tempfile::tempdir().unwrap();
    let (missing, empty) = (folder.path().join("missing.pem"), folder.path().join("empty.pem"));
    std::fs::write(&empty, "nothing").unwrap();
    for parameter in ["sslrootcert", "sslcert", "sslkey"] {
        let said = refused(server, "localhost", &url, &format!("{parameter}={}", missing.display())).await;
        assert!(said.starts_with(&format!("{parameter} {}: No such file", missing.display())), "{said}");
        let said = refused(server, "localhost", &url, &format!("{parameter}={}", empty.display())).await;
        assert!(said.starts_with(&format!("{parameter} {}: there is no ", empty.display())), "{said}");
    }
}
