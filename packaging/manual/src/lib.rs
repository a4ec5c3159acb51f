//! Manual pages and shell completions of the programs, written from their own definition of the command line, so
//! that they never say anything else than `--help` does.
//!
//! Each program has a hidden command that calls this; `scripts/package` runs it on the very binaries that are packed.

use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_complete::generate_to;

/// The shells that completions are written for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes `NAME.1`, one page more for each command that is not hidden (`NAME-COMMAND.1`), and the completions into
/// a folder, which is made if it is not there.
///
/// # Errors
/// The folder or a file in it cannot be written.
pub fn write(command: &Command, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let name = command.get_name().to_owned();
    // Pages are dated by nothing and ordered by the definition: the same program writes the same bytes.
    clap_mangen::generate_to(command.clone(), folder)?;
    for shell in SHELLS {
        generate_to(shell, &mut command.clone(), &name, folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    /// Pages and completions know every command and flag, hidden ones aside, and come out the same each time.
    #[test]
    fn pages_and_completions() {
        let command = Command::new("shop").subcommands([
            Command::new("open").arg(Arg::new("till").long("till").help("Which till.")),
            Command::new("secret").hide(true),
        ]);
        let read = |folder: &Path| {
            let mut files: Vec<_> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .map(|path| {
                    let name = path.file_name().unwrap().to_string_lossy().into_owned();
                    (name, std::fs::read_to_string(path).unwrap())
                })
                .collect();
            files.sort();
            files
        };
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(&command, one.path()).unwrap();
        write(&command, two.path()).unwrap();
        let files = read(one.path());
        assert_eq!(files, read(two.path()));
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["shop.1", "shop-open.1", "shop.bash", "_shop", "shop.fish"] {
            assert!(names.contains(&name), "{name} is not among {names:?}");
        }
        assert!(!names.contains(&"shop-secret.1"), "{names:?}");
        let page = &files
            .iter()
            .find(|(name, _)| name == "shop-open.1")
            .unwrap()
            .1;
        assert!(page.contains("Which till."), "{page}");
    }
}
