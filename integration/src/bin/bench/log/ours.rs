//! Our Rekor as `chancery init` sets it up, alone in its process.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Chancery, Launch, Postgres, free_port};

use crate::process::{Usage, resident_mib};

/// Origin of the v2 log.
const HOST: &str = "log.bench.test";

/// A Rekor that runs. It is killed when it is dropped.
pub(crate) struct Ours {
    process: Chancery,
    folder: PathBuf,
    ports: [u16; 2],
    postgres: Option<(Postgres, String)>,
}

impl Ours {
    /// With its logs in a SQLite file.
    pub(crate) async fn on_sqlite(folder: &Path) -> Self {
        Self::start(folder, None).await
    }

    /// With its logs in a Postgres server of its own, as the distribution configures it.
    pub(crate) async fn on_postgres(folder: &Path) -> Self {
        let server = Postgres::start();
        let database = server.over_tcp(&server.database());
        Self::start(folder, Some((server, database))).await
    }

    async fn start(folder: &Path, postgres: Option<(Postgres, String)>) -> Self {
        std::fs::create_dir_all(folder).expect("the folder can be written");
        let mut init = Chancery::command();
        init.args(["init", "--domain", "bench.test", "--public-url", &format!("rekor-v2=https://{HOST}"), "--dir"]);
        init.arg(folder.join("D"));
        if let Some((server, database)) = &postgres {
            init.args(["--rekor-database", database, "--database-password-file"]).arg(server.password_file());
        }
        let _ = Chancery::run(&mut init).ok();
        let [admin, v1, v2] = [free_port(), free_port(), free_port()];
        let listen = |port: u16| format!("[\"127.0.0.1:{port}\"]");
        let launch = Launch::service("rekor", &folder.join("D/chancery.yaml"), &format!("http://127.0.0.1:{admin}"))
            .with("CHANCERY_ADMIN__HTTP__LISTEN", listen(admin))
            .with("CHANCERY_REKOR_V1__HTTP__LISTEN", listen(v1))
            .with("CHANCERY_REKOR_V2__HTTP__LISTEN", listen(v2));
        let process = launch.start_in(folder).await.unwrap_or_else(|ended| panic!("{ended}"));
        Self { process, folder: folder.to_owned(), ports: [v1, v2], postgres }
    }

    /// Where v2 entries go.
    pub(crate) fn v2(&self) -> String {
        format!("http://127.0.0.1:{}/api/v2/log/entries", self.ports[1])
    }

    /// Where v1 entries go.
    pub(crate) fn v1(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/log/entries", self.ports[0])
    }

    /// What it has used, and all processes of its Postgres.
    pub(crate) fn usage(&self) -> Usage {
        let database = self.postgres.as_ref().map(|(server, _)| Usage::of_family(server.pid()));
        Usage::of(self.process.pid()) + database.unwrap_or_default()
    }

    /// What the process keeps in memory, in MiB.
    pub(crate) fn resident(&self) -> f64 {
        resident_mib(self.process.pid())
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Has the engine append so many entries to the v2 log with the program at `loader`, while nothing serves it, and starts it again.
    pub(crate) async fn load(&mut self, loader: &Path, entries: u64) {
        let ended = self.process.stop();
        assert_eq!(ended.code, Some(0), "{ended}");
        let mut load = Command::new(loader);
        match &self.postgres {
            Some((server, database)) => load.arg(database).env("DATABASE_PASSWORD_FILE", server.password_file()),
            None => load.arg(self.folder.join("D/db/rekor.db")),
        };
        load.args(["rekor-v2", HOST]).arg(self.folder.join("D/keys/rekor-v2.pem")).arg(entries.to_string());
        let status = load.status().unwrap_or_else(|error| panic!("{}: {error}", loader.display()));
        assert!(status.success(), "{}: {status}", loader.display());
        self.process.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    }
}
