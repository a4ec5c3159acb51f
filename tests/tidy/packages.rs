//! Rules about what the packages hold: each document that somebody is sent to on an installed machine is there, at the
//! place where he is sent to.

use std::path::{Component, Path, PathBuf};

use super::security::is_product;
use super::{File, fence, tree};

/// Where documents lie on an installed machine.
const INSTALLED: &str = "/usr/share/doc/";

/// A package's files: where each comes from in the tree, and where it goes on the machine.
struct Package {
    manifest: String,
    files: Vec<(String, String)>,
}

impl Package {
    /// Of a manifest with a Debian package in it.
    fn of(file: &File) -> Option<Self> {
        let manifest: toml::Table = file.text.parse().unwrap();
        let deb = manifest.get("package")?.get("metadata")?.get("deb")?;
        let folder = Path::new(&file.path).parent()?;
        let assets = deb.get("assets")?.as_array()?.iter();
        let files = assets.filter_map(|asset| {
            let (source, to) = (asset.get(0)?.as_str()?, asset.get(1)?.as_str()?);
            let name = Path::new(source).file_name()?;
            let to = if to.ends_with('/') {
                Path::new("/").join(to).join(name)
            } else {
                Path::new("/").join(to)
            };
            Some((plain(&folder.join(source)), plain(&to)))
        });
        Some(Self {
            manifest: file.path.clone(),
            files: files.collect(),
        })
    }

    fn all(files: &[File]) -> Vec<Self> {
        let manifests = files.iter().filter(|file| file.is_manifest());
        manifests.filter_map(Self::of).collect()
    }
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> String {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain.to_string_lossy().into_owned()
}

/// The links of a document to other files, with their lines.
fn links(file: &File) -> impl Iterator<Item = (usize, &str)> {
    file.text.match_indices("](").filter_map(move |(at, _)| {
        let target = file.text[at + 2..].split([')', '#']).next()?;
        let is_file = !target.is_empty() && !target.contains("://");
        is_file.then(|| (file.line_of(at), target))
    })
}

/// Links of packed documents that lead nowhere once they are installed.
fn dead_links(files: &[File]) -> Vec<String> {
    let tree = tree();
    let mut found = Vec::new();
    for package in Package::all(files) {
        for (source, place) in &package.files {
            let document = tree.iter().find(|file| file.path == *source);
            let Some(document) = document.filter(|file| file.is_document()) else {
                continue;
            };
            for (line, target) in links(document) {
                let beside = Path::new(place).parent().unwrap_or(Path::new("/"));
                let wanted = plain(&beside.join(target));
                if !package.files.iter().any(|(_, place)| *place == wanted) {
                    found.push(format!(
                        "{source}:{line}: installed, the link to {target} leads to {wanted}, which {} does not pack",
                        package.manifest
                    ));
                }
            }
        }
    }
    found
}

/// Documents and examples that the gateway's package lacks.
fn left_out(files: &[File]) -> Vec<String> {
    let tree = tree();
    let mut found = Vec::new();
    for package in Package::all(files) {
        if package.manifest != "Cargo.toml" {
            continue;
        }
        for file in tree.iter().filter(|file| file.path.starts_with("docs/")) {
            let wanted = file.path.replacen("docs/", "/usr/share/doc/fiscald/", 1);
            let pair = (file.path.clone(), wanted);
            if !package.files.contains(&pair) {
                found.push(format!("Cargo.toml: pack {} as {}", pair.0, pair.1));
            }
        }
    }
    found
}

/// What a person reads on an installed machine: texts of the program (not its comments and tests), what is packed
/// beside it, and documents.
fn read_by_people(file: &File) -> Option<Vec<(usize, &str)>> {
    let is_program = file.is_rust() && is_product(&file.path) && !file.path.ends_with("tests.rs");
    let is_beside = file.path.starts_with("packaging/") && !file.is_rust();
    if !is_program && !is_beside && !file.is_document() {
        return None;
    }
    let lines = file.text.lines().enumerate();
    let shown = lines
        .take_while(|(_, line)| !is_program || line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !is_program || !line.trim_start().starts_with("//"));
    Some(shown.map(|(at, line)| (at + 1, line)).collect())
}

/// The path that begins here.
fn path_at(text: &str) -> &str {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
    let end = text.find(|c: char| !is_path(c)).unwrap_or(text.len());
    text[..end].trim_end_matches(['.', '/'])
}

/// Where an installed machine's reader is sent, and there is nothing: `docs/` is in the source alone.
fn sent_astray(files: &[File]) -> Vec<String> {
    let packages = Package::all(&tree());
    let is_packed = |path: &str| {
        let mut places = packages.iter().flat_map(|package| &package.files);
        places.any(|(_, place)| {
            let rest = place.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let mut found = Vec::new();
    for file in files {
        for (line, text) in read_by_people(file).unwrap_or_default() {
            for (at, _) in text.match_indices("docs/") {
                let inside = text[..at].ends_with(['/', '.']);
                let path = path_at(&text[at..]);
                if !file.is_document() && !inside && path.ends_with(".md") {
                    found.push(format!(
                        "{}:{line}: an installed machine has no {path}; say {INSTALLED}PACKAGE/",
                        file.path
                    ));
                }
            }
            for (at, _) in text.match_indices(INSTALLED) {
                let path = path_at(&text[at..]);
                if !is_packed(path) {
                    found.push(format!("{}:{line}: no package has {path}", file.path));
                }
            }
        }
    }
    found
}

fn manifest(asset: &str) -> String {
    format!("[package]\nname = \"x\"\n[package.metadata.deb]\nassets = [{asset}]\n")
}

/// Links of installed documents lead to installed documents.
#[test]
fn links_are_packed() {
    let alone = manifest("[\"docs/API.md\", \"usr/share/doc/fiscald/\", \"644\"]");
    let example = "[\"docs/examples/README.md\", \"usr/share/doc/fiscald/examples/\", \"644\"]";
    let elsewhere = manifest(&format!(
        "{example}, [\"docs/INTEGRATE.md\", \"usr/share/doc/other/\", \"644\"]"
    ));
    let plain = manifest("[\"docs/ERRORS.md\", \"usr/share/doc/fiscald/\", \"644\"]");
    fence(
        dead_links,
        &[("Cargo.toml", &alone), ("Cargo.toml", &elsewhere)],
        &[("Cargo.toml", &plain), ("Cargo.toml", "[workspace]\n")],
    );
}

/// The gateway's package has every document and every example, in the order of the folder `docs`.
#[test]
fn every_document_is_packed() {
    let one = manifest("[\"docs/API.md\", \"usr/share/doc/fiscald/\", \"644\"]");
    fence(left_out, &[("Cargo.toml", &one)], &[("a/Cargo.toml", &one)]);
}

/// Whoever is told to read a document finds it where he is told.
#[test]
fn readers_find_it() {
    // With D for the folder, or this file would break another rule.
    let sample = |text: &str| text.replace("D/", "docs/");
    let (says, reads) = (
        sample("fn a() { println!(\"see D/POS.md\"); }"),
        sample("/// D/POS.md\nconst A: &str = include_str!(\"../D/POS.md\");"),
    );
    fence(
        sent_astray,
        &[
            ("src/cli/a.rs", &says),
            ("packaging/a.yml", &sample("# See D/POS.md.")),
            (
                "packaging/a.service",
                "file:///usr/share/doc/fiscald/NONE.md",
            ),
            ("a.md", "`/usr/share/doc/fiscald/examples/python/a.py`"),
            (
                "src/cli/a.rs",
                "const A: &str = \"/usr/share/doc/fiscald/POS\";",
            ),
        ],
        &[
            ("src/cli/a.rs", &reads),
            ("tests/a.rs", &says),
            (
                "src/cli/a.rs",
                "const A: &str = \"(/usr/share/doc/fiscald/POS.md).\";",
            ),
            ("a.md", "`/usr/share/doc/fiscald/examples`"),
        ],
    );
}
