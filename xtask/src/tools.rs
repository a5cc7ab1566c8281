//! Clients, tools and peer servers that are pinned: each is installed by its own package manager into
//! `${XDG_CACHE_HOME:-$HOME/.cache}/chancery/tools/NAME-VERSION/`, so that a new version never meets an old one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::layout;
use crate::process::{self, Took};

/// Names and versions, one pair per line; the integration tests read the same file.
const VERSIONS: &str = include_str!("../tools/versions");

/// The quick ones first, so that what is wrong with the way of installing shows early.
const TOOLS: &[Tool] = &[
    Tool { name: "crane", tier: Tier::Ci, from: Source::Go { package: "github.com/google/go-containerregistry/cmd/crane" } },
    Tool { name: "oras", tier: Tier::Ci, from: Source::Go { package: "oras.land/oras/cmd/oras" } },
    Tool { name: "olareg", tier: Tier::Ci, from: Source::Go { package: "github.com/olareg/olareg/cmd/olareg" } },
    Tool { name: "tessera-fsck", tier: Tier::Ci, from: Source::Go { package: "github.com/transparency-dev/tessera/cmd/fsck" } },
    Tool {
        name: "distribution",
        tier: Tier::Ci,
        from: Source::Go { package: "github.com/distribution/distribution/v3/cmd/registry" },
    },
    Tool { name: "sigstore-python", tier: Tier::Ci, from: Source::Python { module: "sigstore" } },
    Tool { name: "cosign", tier: Tier::Ci, from: Source::Go { package: "github.com/sigstore/cosign/v3/cmd/cosign" } },
    Tool { name: "cosign2", tier: Tier::Ci, from: Source::Go { package: "github.com/sigstore/cosign/v2/cmd/cosign" } },
    Tool { name: "rekor-cli", tier: Tier::Ci, from: Source::Go { package: "github.com/sigstore/rekor/cmd/rekor-cli" } },
    Tool { name: "cargo-deny", tier: Tier::Ci, from: Source::Cargo },
    Tool {
        name: "rekor-tiles",
        tier: Tier::Bench,
        from: Source::Go { package: "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix" },
    },
    Tool { name: "cargo-fuzz", tier: Tier::Fuzz, from: Source::Cargo },
    Tool { name: "rekor-server", tier: Tier::Bench, from: Source::Go { package: "github.com/sigstore/rekor/cmd/rekor-server" } },
    Tool {
        name: "trillian",
        tier: Tier::Bench,
        from: Source::GoSet {
            module: "github.com/google/trillian",
            packages: &["cmd/trillian_log_server", "cmd/trillian_log_signer", "cmd/createtree"],
            file: "storage/postgresql/schema/storage.sql",
        },
    },
    Tool { name: "litewitness", tier: Tier::Ci, from: Source::Go { package: "filippo.io/torchwood/cmd/litewitness" } },
    Tool { name: "versitygw", tier: Tier::Ci, from: Source::Go { package: "github.com/versity/versitygw/cmd/versitygw" } },
    Tool { name: "regctl", tier: Tier::All, from: Source::Go { package: "github.com/regclient/regclient/cmd/regctl" } },
    Tool { name: "helm", tier: Tier::All, from: Source::Go { package: "helm.sh/helm/v4/cmd/helm" } },
    Tool { name: "sigstore-js", tier: Tier::All, from: Source::Npm { program: "@sigstore/cli/bin/run" } },
    Tool { name: "sigstore-java", tier: Tier::All, from: Source::Maven { program: "Sign.java" } },
    Tool { name: "docker-compose", tier: Tier::All, from: Source::Go { package: "github.com/docker/compose/v2/cmd" } },
    Tool { name: "dex", tier: Tier::All, from: Source::Go { package: "github.com/dexidp/dex/cmd/dex" } },
    Tool { name: "gitsign", tier: Tier::All, from: Source::Go { package: "github.com/sigstore/gitsign" } },
    Tool { name: "kyverno", tier: Tier::All, from: Source::Go { package: "github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno" } },
];

/// Programs of the distribution: what is run, the Debian package that has it, and which run uses it.
const PACKAGES: &[(&str, &str, Tier)] = &[
    ("cc", "gcc", Tier::Ci),
    ("openssl", "openssl", Tier::Ci),
    ("curl", "curl", Tier::Ci),
    ("strace", "strace", Tier::Ci),
    ("ssh-agent", "openssh-client", Tier::Ci),
    ("initdb", "postgresql", Tier::Ci),
    ("mkfs.ext4", "e2fsprogs", Tier::Ci),
    ("python3", "python3", Tier::Ci),
    ("pip3", "python3-pip", Tier::Ci),
    ("c++", "g++", Tier::Fuzz),
    ("redis-server", "redis-server", Tier::Bench),
    ("dockerd", "docker.io", Tier::All),
    ("docker", "docker.io", Tier::All),
    ("skopeo", "skopeo", Tier::All),
    ("git", "git", Tier::All),
    ("npm", "npm", Tier::All),
    ("mvn", "maven", Tier::All),
    ("javac", "default-jdk-headless", Tier::All),
    ("musl-gcc", "musl-tools", Tier::All),
];

/// Which run uses a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Every run.
    Ci,
    /// `--all` only: heavy clients.
    All,
    /// The benchmarks only: what ours is measured beside.
    Bench,
    /// Fuzzing only.
    Fuzz,
}

impl Tier {
    const fn is_used(self, all: bool) -> bool {
        match self {
            Self::Ci => true,
            Self::All => all,
            Self::Bench | Self::Fuzz => false,
        }
    }

    const fn is_used_by_bench(self) -> bool {
        matches!(self, Self::Ci | Self::Bench)
    }
}

/// A program that is built from its released source.
#[derive(Debug)]
pub(crate) struct Tool {
    name: &'static str,
    tier: Tier,
    from: Source,
}

#[derive(Debug)]
enum Source {
    /// By the module `xtask/tools/NAME/`, whose `go.sum` pins every dependency. A bare `go install PACKAGE@VERSION` would also ask
    /// the proxy for the module's list of versions, which not every proxy serves.
    Go { package: &'static str },
    /// Several programs of one module, likewise, and a file of it that they need.
    GoSet { module: &'static str, packages: &'static [&'static str], file: &'static str },
    /// From crates.io, with the lock file it was released with.
    Cargo,
    /// From PyPI, as wheels: `xtask/tools/NAME/requirements.txt` pins every distribution by version and digest.
    Python { module: &'static str },
    /// By `xtask/tools/NAME/package.json`, whose lock file pins every dependency, on a Node.js that is one of them: the
    /// distribution's may be too old.
    Npm { program: &'static str },
    /// From Maven's central repository by `xtask/tools/NAME/pom.xml`, with a program of ours beside it where what is released is
    /// a library.
    Maven { program: &'static str },
}

impl Source {
    /// How many package managers there are.
    const MANAGERS: usize = 5;

    /// Which of them, counted from 0.
    const fn manager(&self) -> usize {
        match self {
            Self::Go { .. } | Self::GoSet { .. } => 0,
            Self::Cargo => 1,
            Self::Python { .. } => 2,
            Self::Npm { .. } => 3,
            Self::Maven { .. } => 4,
        }
    }
}

impl Tool {
    fn version(&self) -> &'static str {
        let pair = VERSIONS.lines().find_map(|line| line.split_once(' ').filter(|(name, _)| *name == self.name));
        pair.expect("xtask/tools/versions has a line per tool").1
    }

    fn key(&self) -> String {
        format!("{}-{}", self.name, self.version())
    }

    fn folder(&self) -> Result<PathBuf> {
        Ok(layout::cache()?.join("tools").join(self.key()))
    }

    fn is_installed(&self) -> Result<bool> {
        let program = match self.from {
            Source::GoSet { packages, .. } => packages.first().and_then(|package| package.rsplit('/').next()),
            _ => None,
        };
        Ok(self.folder()?.join("bin").join(program.unwrap_or(self.name)).exists())
    }

    /// Builds into a folder of its own and renames it at the end: what lies under the tool's name is whole.
    fn install(&self) -> Result<()> {
        let folder = self.folder()?;
        let tools = folder.parent().expect("the folder was joined to one");
        let making = tools.join(format!(".{}-{}", self.key(), std::process::id()));
        fs::create_dir_all(making.join("bin")).with_context(|| format!("cannot create {}", making.display()))?;
        let log = tools.join(format!("{}.log", self.key()));
        let written = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut command = self.command(&making)?;
        command.stdin(Stdio::null()).stdout(written.try_clone()?).stderr(written);
        let installed = process::run(&mut command).and_then(|()| self.finish(&making)).with_context(|| {
            format!(
                "cannot install {} {}; the last lines of {} are\n{}",
                self.name,
                self.version(),
                log.display(),
                last_lines(&log, 15)
            )
        });
        if installed.is_ok() && fs::rename(&making, &folder).is_err() && !self.is_installed()? {
            bail!("cannot rename {} to {}; remove both and try again", making.display(), folder.display());
        }
        // Left over only where this failed, or where another run was faster.
        let _ = fs::remove_dir_all(&making);
        installed
    }

    /// Copies what describes it to the package manager.
    fn copy(&self, names: &[&str], into: &std::path::Path) -> Result<()> {
        for name in names {
            let from = layout::repository().join("xtask/tools").join(self.name).join(name);
            fs::copy(&from, into.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        Ok(())
    }

    fn command(&self, into: &std::path::Path) -> Result<Command> {
        match self.from {
            Source::Go { package } => Ok(self.go_build(&into.join("bin").join(self.name), [package.to_owned()])),
            Source::GoSet { module, packages, .. } => {
                Ok(self.go_build(&into.join("bin"), packages.iter().map(|package| format!("{module}/{package}"))))
            }
            Source::Npm { .. } => {
                self.copy(&["package.json", "package-lock.json"], into)?;
                let mut npm = Command::new("npm");
                npm.current_dir(into).args(["ci", "--no-audit", "--no-fund"]);
                Ok(npm)
            }
            Source::Maven { program } => {
                self.copy(&["pom.xml", program], into)?;
                let mut maven = Command::new("mvn");
                maven.current_dir(into).args([
                    "--batch-mode",
                    "--quiet",
                    "dependency:copy-dependencies",
                    "-DoutputDirectory=lib",
                ]);
                Ok(maven)
            }
            Source::Cargo => {
                let mut cargo = cargo();
                // Not in the repository, whose settings are not meant for it, and not into its target folder, whose lock would make
                // the two builds wait for each other.
                cargo.current_dir(layout::cache()?).env_remove("CARGO_TARGET_DIR");
                cargo.args(["install", "--locked", "--version", self.version(), "--root"]).arg(into).arg(self.name);
                // It runs for a second: what counts is how quickly it builds.
                cargo.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
                cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
                Ok(cargo)
            }
            Source::Python { .. } => {
                let requirements = layout::repository().join("xtask/tools").join(self.name).join("requirements.txt");
                let mut pip = Command::new("python3");
                // A folder of packages and not a virtual environment, which holds its own path and could not be renamed.
                pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-deps"]);
                pip.args(["--only-binary", ":all:", "--require-hashes", "--requirement"]).arg(requirements);
                pip.arg("--target").arg(into.join("lib"));
                Ok(pip)
            }
        }
    }

    fn go_build(&self, into: &std::path::Path, packages: impl IntoIterator<Item = String>) -> Command {
        // The linker is told the version because a program built by a wrapper module does not know its own.
        let flags = format!("-s -w -X sigs.k8s.io/release-utils/version.gitVersion=v{}", self.version());
        let mut go = self.go();
        go.args(["build", "-mod=readonly", "-trimpath", "-ldflags", &flags, "-o"]).arg(into).args(packages);
        go
    }

    fn go(&self) -> Command {
        let mut go = Command::new("go");
        go.current_dir(layout::repository().join("xtask/tools").join(self.name));
        go.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-buildvcs=false");
        go
    }

    /// What the package manager leaves to do: where it installs no program of the tool's name, a script becomes one.
    fn finish(&self, making: &std::path::Path) -> Result<()> {
        let run = match self.from {
            Source::Go { .. } | Source::Cargo => return Ok(()),
            Source::GoSet { module, file, .. } => {
                let source = process::output(self.go().args(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module]))?;
                let from = std::path::Path::new(source.trim()).join(file);
                let to = making.join(file.rsplit('/').next().unwrap_or(file));
                return fs::copy(&from, to).with_context(|| format!("cannot copy {}", from.display())).map(|_| ());
            }
            Source::Python { module } => {
                // By its path: what runs the program may have another `python3` first, for which these wheels are not.
                let python = process::output(Command::new("python3").args(["-c", "import sys; print(sys.executable)"]))?;
                format!("PYTHONPATH=\"$here/lib\" PYTHONSAFEPATH=1 exec '{}' -m {module}", python.trim())
            }
            Source::Npm { program } => {
                format!("exec \"$here/node_modules/.bin/node\" \"$here/node_modules/{program}\"")
            }
            Source::Maven { program } => format!("exec java -cp \"$here/lib/*\" \"$here/{program}\""),
        };
        // What it runs is found from where it lies: the folder is about to be renamed.
        let script = format!("#!/bin/sh\nhere=$(dirname \"$(dirname \"$(readlink -f \"$0\")\")\")\n{run} \"$@\"\n");
        let program = making.join("bin").join(self.name);
        fs::write(&program, script).with_context(|| format!("cannot write {}", program.display()))?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        if matches!(self.from, Source::Maven { .. }) {
            return Ok(());
        }
        // A package that is not whole fails here and not in a test.
        process::run(Command::new(&program).arg("--version").stdout(Stdio::null()))
    }
}

/// `cargo xtask tools`.
pub(crate) fn command(all: bool) -> Result<()> {
    packages(all)?;
    Installing::begin(all)?.finish()?;
    for tool in of_tier(all) {
        println!("{:<16} {:<8} {}", tool.name, tool.version(), tool.folder()?.join("bin").join(tool.name).display());
    }
    Ok(())
}

/// Installs what the benchmarks measure ours beside.
///
/// # Errors
/// As [`packages`] and [`Installing::finish`].
pub(crate) fn install_for_bench() -> Result<()> {
    packages_where(|_, tier| tier.is_used_by_bench())?;
    let tools = TOOLS.iter().filter(|tool| tool.tier.is_used_by_bench());
    Installing::begin_with(tools)?.finish().map(|_| ())
}

/// Installs what the benchmark of the logs measures ours beside, which is quick.
///
/// # Errors
/// As [`install_for_bench`].
pub(crate) fn install_for_log_bench() -> Result<()> {
    packages_where(|program, _| matches!(program, "cc" | "initdb"))?;
    Installing::begin_with(TOOLS.iter().filter(|tool| tool.name == "rekor-tiles"))?.finish().map(|_| ())
}

/// Installs what fuzzing takes, and returns the folder with it, to be put in front of `PATH`.
///
/// # Errors
/// As [`packages`] and [`Installing::finish`].
pub(crate) fn install_for_fuzzing() -> Result<PathBuf> {
    packages_where(|program, tier| program == "cc" || tier == Tier::Fuzz)?;
    let tools = || TOOLS.iter().filter(|tool| tool.tier == Tier::Fuzz);
    let _ = Installing::begin_with(tools())?.finish()?;
    let tool = tools().next().context("no tool is for fuzzing")?;
    Ok(tool.folder()?.join("bin"))
}

/// The folders with the pinned programs, to be put in front of `PATH`.
pub(crate) fn folders(all: bool) -> Result<Vec<PathBuf>> {
    of_tier(all).map(|tool| Ok(tool.folder()?.join("bin"))).collect()
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Checks that the distribution's programs are there. Where we are root, or `CI` is `true`, it installs those that are not;
/// elsewhere it says how.
///
/// # Errors
/// One is missing, or cannot be installed.
pub(crate) fn packages(all: bool) -> Result<()> {
    packages_where(|_, tier| tier.is_used(all))
}

/// As [`packages`], for what static binaries are built with.
///
/// # Errors
/// As there.
pub(crate) fn image_packages() -> Result<()> {
    packages_where(|program, _| matches!(program, "cc" | "musl-gcc"))
}

fn packages_where(wanted: impl Fn(&str, Tier) -> bool) -> Result<()> {
    let missing = || {
        let missing = PACKAGES.iter().filter(|(program, _, tier)| wanted(program, *tier) && !on_path(program));
        missing.map(|(_, package, _)| *package).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !is_root() && std::env::var_os("CI").is_none_or(|ci| ci != "true") {
        bail!("missing from the system: {}; install with: sudo {line}", packages.join(", "));
    }
    eprintln!("installing from the distribution: {}", packages.join(" "));
    // The sudo of machines where CI is not root already.
    let script = format!(
        "set -e; if [ \"$(id -u)\" = 0 ]; then as=; else as='sudo -n'; fi; export DEBIAN_FRONTEND=noninteractive\n{NO_CLUSTER}\n$as apt-get update -qq; $as {line} -qq"
    );
    process::run(Command::new("sh").args(["-c", &script]))?;
    let still = missing();
    if still.is_empty() { Ok(()) } else { bail!("still missing after installing: {}", still.join(", ")) }
}

/// Tools being installed in the background, those of one package manager one after the other: it uses every core by itself, and
/// finds again what it has compiled for the tool before.
#[derive(Debug, Default)]
pub(crate) struct Installing(Vec<JoinHandle<Result<Vec<String>>>>);

impl Installing {
    /// Begins with what is missing; returns at once.
    pub(crate) fn begin(all: bool) -> Result<Self> {
        Self::begin_with(of_tier(all))
    }

    fn begin_with(tools: impl Iterator<Item = &'static Tool>) -> Result<Self> {
        let mut missing: Vec<Vec<&Tool>> = vec![Vec::new(); Source::MANAGERS];
        for tool in tools {
            if !tool.is_installed()? {
                eprintln!("installing {} {} into {}", tool.name, tool.version(), tool.folder()?.display());
                missing[tool.from.manager()].push(tool);
            }
        }
        let install = |tool: &Tool| {
            let begun = Instant::now();
            tool.install()?;
            let installed = format!("{} {} in {}", tool.name, tool.version(), Took(begun.elapsed()));
            eprintln!("installed {installed}");
            Ok(installed)
        };
        let begin = |tools: Vec<&'static Tool>| std::thread::spawn(move || tools.into_iter().map(install).collect());
        Ok(Self(missing.into_iter().filter(|tools| !tools.is_empty()).map(begin).collect()))
    }

    /// Waits for the last of them; says what was installed, and how long this took.
    ///
    /// # Errors
    /// What could not be installed, with the end of its log.
    pub(crate) fn finish(&mut self) -> Result<Vec<String>> {
        let mut installed = Vec::new();
        let begun = Instant::now();
        for thread in self.0.drain(..) {
            while !thread.is_finished() {
                std::thread::sleep(Duration::from_millis(100));
                if begun.elapsed().as_secs() % 60 == 59 {
                    eprintln!("still installing tools, after {}", Took(begun.elapsed()));
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
            installed.extend(thread.join().expect("installing a tool does not panic")?);
        }
        Ok(installed)
    }
}

fn of_tier(all: bool) -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().filter(move |tool| tool.tier.is_used(all))
}

/// The package of Postgres would start a server of its own at once; tests have theirs in scratch folders. Who said otherwise before is
/// not overruled.
const NO_CLUSTER: &str = "conf=/etc/postgresql-common/createcluster.conf; \
     if [ ! -e $conf ]; then $as mkdir -p /etc/postgresql-common; echo 'create_main_cluster = false' | $as tee $conf > /dev/null; fi";

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons lie where only root's PATH leads, and the programs of a Postgres server where none does.
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).chain(versions);
    folders.into_iter().any(|folder| folder.join(program).is_file())
}

/// Whether this process may do everything: who it is, is the owner of its folder below `/proc`.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The end of a log.
pub(crate) fn last_lines(log: &std::path::Path, count: usize) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_a_version_and_every_version_a_tool() {
        for tool in TOOLS {
            assert!(tool.key().contains('-'), "{}", tool.key());
        }
        assert_eq!(VERSIONS.lines().count(), TOOLS.len());
    }

    #[test]
    fn every_distribution_for_python_is_pinned_by_its_digest() {
        for tool in TOOLS {
            let Source::Python { module } = tool.from else { continue };
            let file = layout::repository().join("xtask/tools").join(tool.name).join("requirements.txt");
            let text = fs::read_to_string(&file).unwrap().replace("\\\n", " ");
            let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(lines.iter().all(|line| line.contains("==") && line.contains("--hash=sha256:")), "{}", file.display());
            let pinned = format!("{module}=={} ", tool.version());
            assert_eq!(lines.iter().filter(|line| line.starts_with(&pinned)).count(), 1, "{pinned}in {}", file.display());
        }
    }

    #[test]
    fn other_package_managers_are_told_the_pinned_version() {
        for tool in TOOLS {
            let (file, line) = match tool.from {
                Source::Go { .. } | Source::GoSet { .. } | Source::Cargo | Source::Python { .. } => continue,
                Source::Npm { .. } => ("package.json", format!("/cli\": \"{}\"", tool.version())),
                Source::Maven { .. } => ("pom.xml", format!("<version>{}</version>", tool.version())),
            };
            let text = fs::read_to_string(layout::repository().join("xtask/tools").join(tool.name).join(file)).unwrap();
            assert!(text.contains(&line), "{}/{file} does not say {line}", tool.name);
        }
    }

    #[test]
    fn wrapper_modules_require_the_pinned_version() {
        for tool in TOOLS {
            let (Source::Go { package } | Source::GoSet { module: package, .. }) = tool.from else { continue };
            let module = layout::repository().join("xtask/tools").join(tool.name).join("go.mod");
            let text = fs::read_to_string(&module).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("require ")).expect("one require line of its own");
            let (name, version) = line.split_once(' ').unwrap();
            assert!(package.starts_with(name), "{package} is not in {name}");
            assert_eq!(version, format!("v{}", tool.version()), "{}", module.display());
        }
    }
}
