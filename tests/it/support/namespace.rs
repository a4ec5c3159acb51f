//! Tests that need a machine of their own: its disks or its network, and nobody else's.

use std::path::PathBuf;
use std::process::Command;

/// Set where a test finds itself inside: the folder.
const INSIDE: &str = "FISCALD_TEST_INSIDE";

/// Where a test is inside namespaces of its own, of these kinds (`--mount`, `--net`): a folder for it. Else it is run again
/// there, after a shell script that gets the folder as `$1`, and none is given back once it has passed. Without root they
/// belong to a user namespace. `test` is its full name.
pub(crate) fn inside(kinds: &[&str], script: &str, test: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(INSIDE) {
        return Some(PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let own_user: &[&str] = if is_root {
        &[]
    } else {
        &["--user", "--map-root-user"]
    };
    let script = format!("{script} && shift && exec \"$@\"");
    let ran = Command::new("unshare")
        .args(own_user)
        .args(kinds)
        .args(["sh", "-ec", &script, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env(INSIDE, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let passed = ran.status.success() && said.contains("1 passed");
    assert!(passed, "{said}{}", String::from_utf8_lossy(&ran.stderr));
    None
}
