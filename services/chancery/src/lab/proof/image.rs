//! A two-platform image of a few kilobytes, the same bytes each time: one file, a program that says hello and ends.

use bytes::Bytes;
use oci::{Digest, media_type};
use serde_json::{Value, json};

/// What the lab pushes, signs and promotes.
#[derive(Debug, Clone)]
pub(super) struct Image {
    /// The index over the platforms.
    pub index: Manifest,
    /// One per platform, in the order of the index.
    pub platforms: Vec<Platform>,
}

/// A manifest and its name.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    /// Its media type.
    pub media_type: &'static str,
    /// The bytes that are pushed, hashed and signed.
    pub bytes: Bytes,
    /// Of the bytes.
    pub digest: Digest,
}

/// One platform of an image.
#[derive(Debug, Clone)]
pub(super) struct Platform {
    /// As images name it: `amd64`, `arm64`.
    pub architecture: &'static str,
    /// Its manifest.
    pub manifest: Manifest,
    /// The configuration: how to run it.
    pub config: Bytes,
    /// The one layer: a tar archive.
    pub layer: Bytes,
    /// The one file in the layer.
    pub program: Bytes,
}

/// The name of the program in the layer.
pub(super) const PROGRAM: &str = "hello";

impl Image {
    /// An image whose program prints `message`.
    pub(super) fn saying(message: &str) -> Self {
        let platforms: Vec<Platform> = [("amd64", X86_64), ("arm64", AARCH64)]
            .map(|(name, machine)| Platform::new(name, &program(&machine, message)))
            .into();
        let entry = |platform: &Platform| {
            let mut entry = descriptor(platform.manifest.media_type, &platform.manifest.bytes);
            entry["platform"] = json!({ "architecture": platform.architecture, "os": "linux" });
            entry
        };
        let index = json!({
            "schemaVersion": 2,
            "mediaType": media_type::IMAGE_INDEX,
            "manifests": platforms.iter().map(entry).collect::<Vec<_>>(),
        });
        Self { index: Manifest::new(media_type::IMAGE_INDEX, &index), platforms }
    }

    /// Index and platforms: everything that is signed and attested.
    pub(super) fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        std::iter::once(&self.index).chain(self.platforms.iter().map(|platform| &platform.manifest))
    }
}

impl Manifest {
    /// Gives a document its bytes and its name.
    pub(super) fn new(media_type: &'static str, document: &Value) -> Self {
        let bytes = Bytes::from(document.to_string());
        Self { media_type, digest: Digest::of(&bytes), bytes }
    }
}

impl Platform {
    fn new(architecture: &'static str, program: &[u8]) -> Self {
        let layer = Bytes::from(archive(PROGRAM, program));
        let config = Bytes::from(
            json!({
                "architecture": architecture,
                "os": "linux",
                "config": { "Entrypoint": [format!("/{PROGRAM}")] },
                "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer).to_string()] },
            })
            .to_string(),
        );
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::IMAGE_MANIFEST,
            "config": descriptor(media_type::IMAGE_CONFIG, &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        Self {
            architecture,
            manifest: Manifest::new(media_type::IMAGE_MANIFEST, &manifest),
            config,
            layer,
            program: Bytes::copy_from_slice(program),
        }
    }
}

/// How a manifest speaks of content.
pub(super) fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(content).to_string(), "size": content.len() })
}

/// A machine: its number in ELF, and code that writes a text of `length` bytes, which follows the code, and ends the process.
struct Machine {
    elf: u16,
    code: fn(length: u16) -> Vec<u8>,
}

const X86_64: Machine = Machine {
    elf: 62,
    code: |length| {
        let mut code = vec![
            0xb8, 1, 0, 0, 0, // mov eax, 1: write
            0xbf, 1, 0, 0, 0, // mov edi, 1: standard output
            0x48, 0x8d, 0x35, 16, 0, 0, 0,    // lea rsi, [rip + 16]: behind the code
            0xba, // mov edx, length
        ];
        code.extend(u32::from(length).to_le_bytes());
        code.extend([
            0x0f, 0x05, // syscall
            0xb8, 60, 0, 0, 0, // mov eax, 60: exit
            0x31, 0xff, // xor edi, edi: success
            0x0f, 0x05, // syscall
        ]);
        code
    },
};

const AARCH64: Machine = Machine {
    elf: 183,
    code: |length| {
        let instructions: [u32; 8] = [
            0xd280_0020,                            // mov x0, #1: standard output
            0x1000_00e1,                            // adr x1, . + 28: behind the code
            0xd280_0002 | (u32::from(length) << 5), // mov x2, #length
            0xd280_0808,                            // mov x8, #64: write
            0xd400_0001,                            // svc #0
            0xd280_0000,                            // mov x0, #0: success
            0xd280_0ba8,                            // mov x8, #93: exit
            0xd400_0001,                            // svc #0
        ];
        instructions.into_iter().flat_map(u32::to_le_bytes).collect()
    },
};

/// A static executable: ELF header, one program header, code, text.
fn program(machine: &Machine, message: &str) -> Vec<u8> {
    const HEADERS: u64 = 64 + 56;
    const BASE: u64 = 0x40_0000;
    let length = u16::try_from(message.len()).expect("our own messages are short");
    let code = (machine.code)(length);
    let size = HEADERS + code.len() as u64 + u64::from(length);
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([2_u16, machine.elf].iter().flat_map(|half| half.to_le_bytes()));
    elf.extend(1_u32.to_le_bytes());
    // Entry point, program headers, no section headers.
    elf.extend([BASE + HEADERS, 64, 0].iter().flat_map(|word| word.to_le_bytes()));
    elf.extend(0_u32.to_le_bytes());
    elf.extend([64_u16, 56, 1, 64, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
    // One segment to load, readable and executable: the whole file.
    elf.extend([1_u32, 5].iter().flat_map(|word| word.to_le_bytes()));
    elf.extend([0, BASE, BASE, size, size, 0x1_0000].iter().flat_map(|word| word.to_le_bytes()));
    elf.extend(code);
    elf.extend(message.as_bytes());
    elf
}

/// A POSIX tar archive of one executable file, without owner and time.
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut header = [0_u8; BLOCK];
    let mut field = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    field(0, name.as_bytes());
    field(100, b"0000755\0");
    field(108, b"0000000\x000000000\0");
    field(124, format!("{:011o}\0", content.len()).as_bytes());
    field(136, b"00000000000\0");
    // The checksum is counted with itself as spaces.
    field(148, b"        0");
    field(257, b"ustar\x0000");
    let checksum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{checksum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    tar.extend(content);
    tar.resize(tar.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    tar
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn it_is_the_same_each_time_and_names_what_it_holds() {
        let image = Image::saying("hello\n");
        assert_eq!(image.index.bytes, Image::saying("hello\n").index.bytes);
        assert_ne!(image.index.digest, Image::saying("other\n").index.digest);
        let read = |manifest: &Manifest| {
            oci::Manifest::parse(Some(manifest.media_type), manifest.bytes.clone()).expect("our own manifests parse")
        };
        read(&image.index);
        for (position, platform) in image.platforms.iter().enumerate() {
            read(&platform.manifest);
            let document: Value = serde_json::from_slice(&platform.manifest.bytes).unwrap();
            assert_eq!(document["layers"][0]["digest"], Digest::of(&platform.layer).to_string());
            assert_eq!(document["config"]["digest"], Digest::of(&platform.config).to_string());
            let index: Value = serde_json::from_slice(&image.index.bytes).unwrap();
            assert_eq!(index["manifests"][position]["digest"], platform.manifest.digest.to_string());
        }
        assert_eq!(image.manifests().count(), 3);
    }

    /// The system's tar takes the program out of the layer, and where this machine is of the platform, it runs.
    #[test]
    fn the_program_runs() {
        let image = Image::saying("hello from a test\n");
        for platform in &image.platforms {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("layer.tar"), &platform.layer).unwrap();
            let tar = Command::new("tar").args(["--extract", "--file", "layer.tar"]).current_dir(folder.path()).output().unwrap();
            assert!(tar.status.success() && tar.stderr.is_empty(), "{}", String::from_utf8_lossy(&tar.stderr));
            let program = folder.path().join(PROGRAM);
            assert_eq!(std::fs::read(&program).unwrap(), platform.program);
            assert_eq!(program.metadata().unwrap().permissions().mode() & 0o777, 0o755);
            let native = matches!((std::env::consts::ARCH, platform.architecture), ("x86_64", "amd64") | ("aarch64", "arm64"));
            if native && cfg!(target_os = "linux") {
                let ran = Command::new(&program).output().unwrap();
                assert!(ran.status.success());
                assert_eq!(ran.stdout, b"hello from a test\n");
            }
        }
    }
}
