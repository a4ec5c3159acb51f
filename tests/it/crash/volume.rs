//! A disk whose power can be cut: a file with an ext4 in it, mounted, that is shut down without flushing anything.
//!
//! `EXT4_IOC_SHUTDOWN` with `NOLOGFLUSH` makes the file system forget at once what only memory has: pages that were
//! written and not synced, and the journal's part that was not committed. Mounted again it replays its journal, as after
//! a power cut. What `fdatasync` has promised must be there; all else may be gone, in any mixture.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `EXT4_IOC_SHUTDOWN`.
const SHUTDOWN: rustix::ioctl::Opcode = rustix::ioctl::opcode::read::<u32>(b'X', 125);
/// Flush neither data nor journal.
const NOLOGFLUSH: u32 = 2;
/// Room on it. The file is sparse.
const BYTES: u64 = 256 << 20;
/// Set within the namespace: the folder to work in.
const PLACE: &str = "CRASH_CUT_PLACE";

/// The folder to work in, within a namespace of mounts of this test's own, so that nothing stays mounted whatever
/// happens; none outside of it, where this runs the test `name` in such a namespace. Where the machine refuses to mount,
/// it says that nothing was run, and fails if `CRASH_CUTS` wishes for cuts.
pub(super) fn place(name: &str) -> Option<PathBuf> {
    if let Some(place) = std::env::var_os(PLACE) {
        return Some(place.into());
    }
    let dir = tempfile::tempdir().unwrap();
    let trial = in_namespace(dir.path())
        .args([
            "sh",
            "-ec",
            "truncate -s 16M \"$1/trial\"; mkfs.ext4 -q -F \"$1/trial\"; mkdir \"$1/at\"
             mount -o loop \"$1/trial\" \"$1/at\"",
            "sh",
        ])
        .arg(dir.path())
        .output();
    let refused = match trial {
        Ok(trial) if trial.status.success() => None,
        Ok(trial) => Some(String::from_utf8_lossy(&trial.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = refused {
        let text = format!(
            "NOT RUN: {name}: no ext4 can be mounted here: {}",
            why.trim()
        );
        assert!(std::env::var_os("CRASH_CUTS").is_none(), "{text}");
        eprintln!("{text}");
        return None;
    }
    let status = in_namespace(dir.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", name])
        .env(PLACE, dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    None
}

fn in_namespace(dir: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private"])
        .current_dir(dir);
    command
}

/// What a store's data lie on.
pub(super) enum Ground {
    /// A folder.
    Plain,
    /// A disk whose power goes whenever a process has ended itself.
    Disk(Volume),
}

impl Ground {
    /// A disk for the store that is to be set up in `dir`.
    pub(super) fn disk(dir: &Path) -> Self {
        Self::Disk(Volume::make(dir.join("disk"), dir.join("data")))
    }

    /// A process has ended itself: the power goes with it, and is back.
    pub(super) fn power_goes(&self) {
        if let Self::Disk(volume) = self {
            volume.cut();
            volume.again();
        }
    }
}

/// A disk.
pub(super) struct Volume {
    image: PathBuf,
    at: PathBuf,
}

impl Volume {
    /// Makes one and mounts it in the new folder `at`.
    pub(super) fn make(image: PathBuf, at: PathBuf) -> Self {
        File::create(&image).unwrap().set_len(BYTES).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        std::fs::create_dir(&at).unwrap();
        let volume = Self { image, at };
        volume.mount();
        volume
    }

    fn mount(&self) {
        run(Command::new("mount")
            .args(["-o", "loop"])
            .args([&self.image, &self.at]));
    }

    /// The power goes: what is not on the disk is lost, and nothing gets there any more.
    #[expect(
        unsafe_code,
        reason = "an ioctl that reads one u32 through a pointer, which rustix makes for us"
    )]
    pub(super) fn cut(&self) {
        let root = File::open(&self.at).unwrap();
        // SAFETY: the kernel defines this number as reading a u32 (include/uapi/linux/ext4.h).
        unsafe {
            let flags = rustix::ioctl::Setter::<SHUTDOWN, u32>::new(NOLOGFLUSH);
            rustix::ioctl::ioctl(&root, flags).unwrap();
        }
    }

    /// The power is back.
    pub(super) fn again(&self) {
        run(Command::new("umount").arg(&self.at));
        self.mount();
    }
}

fn run(command: &mut Command) {
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{command:?}: {ended:?}");
}
