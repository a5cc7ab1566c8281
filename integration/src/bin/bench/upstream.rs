//! Upstream Rekor v1: rekor-server on Trillian on PostgreSQL, with Redis for its index, all on loopback and one disk.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use testkit::{Postgres, free_port, http, on_path, pinned, wait_until};

use crate::process::cpu_time;

/// Its processes. They are killed when it is dropped.
pub(crate) struct Upstream {
    url: String,
    children: Vec<Child>,
    postgres: Postgres,
}

impl Upstream {
    /// Starts a log that is empty, with a key that it makes for itself.
    pub(crate) async fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("the folder can be written");
        let postgres = Postgres::start();
        let database = postgres.database();
        let trillian = pinned("trillian/trillian_log_server");
        let programs = trillian.parent().expect("a program lies in a folder").to_path_buf();
        let schema = std::fs::read_to_string(programs.with_file_name("storage.sql")).expect("it was installed with the schema");
        let _ = postgres.sql(&database, &schema);

        let (log, signer, redis, rekor) = (free_port(), free_port(), free_port(), free_port());
        let mut upstream = Self { url: format!("http://127.0.0.1:{rekor}"), children: Vec::new(), postgres };
        let uri = upstream.database_uri(&database);
        // The signer looks for new leaves every 100 ms, as by default.
        for (program, port, more) in [("trillian_log_server", log, None), ("trillian_log_signer", signer, Some("--force_master"))]
        {
            let mut command = Command::new(programs.join(program));
            command.args(["--storage_system=postgresql", "--quota_system=noop", "--alsologtostderr", "--http_endpoint="]);
            command.arg(format!("--postgresql_uri={uri}")).arg(format!("--rpc_endpoint=127.0.0.1:{port}")).args(more);
            upstream.spawn(folder, program, command);
        }
        let mut command = Command::new(on_path("redis-server"));
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &redis.to_string()]);
        upstream.spawn(folder, "redis", command);

        let tree = create_tree(&programs, log).await;
        let mut command = Command::new(pinned("rekor-server"));
        command.args(["serve", "--rekor_server.address", "127.0.0.1", "--rekor_server.hostname", "127.0.0.1"]);
        command.args(["--rekor_server.signer", "memory", "--trillian_log_server.address", "127.0.0.1"]);
        command.args(["--redis_server.address", "127.0.0.1", "--log_type", "prod"]);
        command.args(["--port", &rekor.to_string(), "--trillian_log_server.port", &log.to_string()]);
        command.args(["--redis_server.port", &redis.to_string(), "--trillian_log_server.tlog_id", &tree]);
        upstream.spawn(folder, "rekor-server", command);
        let (http, info) = (http(&[]), upstream.url("/api/v1/log"));
        wait_until("upstream Rekor answers", Duration::from_secs(60), async || {
            http.get(&info).send().await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        upstream
    }

    /// A URL below it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// What rekor-server, both processes of Trillian and Redis have used; Postgres comes on top of that.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.children.iter().map(|child| cpu_time(child.id())).sum()
    }

    /// The database over TCP, with the password that counts there.
    fn database_uri(&self, database: &str) -> String {
        let password = std::fs::read_to_string(self.postgres.password_file()).expect("it can be read");
        let user = format!("chancery:{}", password.trim().replace(' ', "%20"));
        format!("{}?sslmode=disable", self.postgres.over_tcp(database).replacen("chancery", &user, 1))
    }

    fn spawn(&mut self, folder: &Path, name: &str, mut command: Command) {
        let log = File::create(folder.join(name).with_extension("log")).expect("the folder can be written");
        command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone().expect("an open file")).stderr(log);
        self.children.push(command.spawn().unwrap_or_else(|error| panic!("{name}: {error}")));
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The number of a new tree; tried until Trillian is there.
async fn create_tree(programs: &Path, port: u16) -> String {
    let mut number = String::new();
    wait_until("Trillian makes a tree", Duration::from_secs(60), async || {
        let mut command = Command::new(programs.join("createtree"));
        let output = command.arg(format!("--admin_server=127.0.0.1:{port}")).output().expect("createtree runs");
        number = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && !number.is_empty()
    })
    .await;
    number
}
