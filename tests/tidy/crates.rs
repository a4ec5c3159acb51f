//! Rules about crates: who may use whom, what is said once for all, and licences.

use std::path::Path;
use std::process::Command;

use super::{File, fence};

/// Crates that the pure core may use. None of them does I/O, reads a clock or draws random numbers.
const PURE: &[&str] = &[
    "base64",
    "jiff",
    "md-5",
    "rust_decimal",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
];

/// Licences that what we ship may be under. A dependency that offers a choice needs one of them.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// Crates that must not be in the build: one TLS and one crypto library are enough, and they are others.
const UNWANTED: &[&str] = &["ring", "openssl", "openssl-sys", "native-tls", "chrono"];

/// The crates of this house.
const HOUSE: &[&str] = &[
    "fiscald",
    "fiscal",
    "a4",
    "drivers",
    "vprinter",
    "fdms-sandbox",
    "clock",
    "meter",
    "browser",
    "sync-wire",
    "sync-agent",
    "fiscal-hq",
    "manual",
    "simulation",
];

/// What of the house the crates between store and head office may use; their tests may use more.
fn room_of_head_office(name: &str) -> Option<&'static [&'static str]> {
    match name {
        "sync-wire" => Some(&[]),
        "sync-agent" => Some(&["sync-wire", "clock"]),
        "fiscal-hq" => Some(&["sync-wire", "clock", "meter", "fiscal", "a4", "manual"]),
        _ => None,
    }
}

/// Names of the dependencies in the tables of a manifest whose name ends so.
fn dependencies(manifest: &toml::Table, kinds: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else {
            continue;
        };
        if kinds.contains(&key.as_str()) {
            names.extend(table.iter().map(|(name, spec)| {
                let package = spec.get("package").and_then(toml::Value::as_str);
                package.unwrap_or(name).to_owned()
            }));
        } else if key == "target" {
            let targets = table.values().filter_map(toml::Value::as_table);
            names.extend(targets.flat_map(|target| dependencies(target, kinds)));
        }
    }
    names
}

fn arrows(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.is_manifest()) {
        let manifest: toml::Table = file.text.parse().unwrap();
        let name = manifest
            .get("package")
            .and_then(|p| p.get("name"))
            .and_then(toml::Value::as_str);
        let shipped = dependencies(&manifest, &["dependencies", "build-dependencies"]);
        let all = dependencies(
            &manifest,
            &["dependencies", "build-dependencies", "dev-dependencies"],
        );
        let mut refuse = |what: &str| found.push(format!("{}: {what}", file.path));
        if let Some(room) = name.and_then(room_of_head_office) {
            let own = shipped.iter().filter(|d| HOUSE.contains(&d.as_str()));
            for dependency in own.filter(|d| !room.contains(&d.as_str())) {
                refuse(&format!(
                    "{name:?} must not use {dependency}: of the house it uses {room:?} alone"
                ));
            }
        }
        if name == Some("fiscald") && shipped.iter().any(|d| d == "fiscal-hq") {
            refuse("the gateway must not use fiscal-hq; only its tests may");
        }
        if all.iter().any(|d| d == "simulation") {
            refuse("nobody uses the simulation: it uses the others");
        }
        let never: &[&str] = match name {
            Some("fiscal") => &["fiscald", "fdms-sandbox", "clock", "drivers", "a4"],
            Some("clock") => &["fiscald", "fdms-sandbox", "fiscal", "drivers", "a4"],
            Some("fdms-sandbox") => &["fiscald", "fiscal", "drivers", "a4"],
            Some("drivers") => &["fiscald", "fiscal", "fdms-sandbox", "a4"],
            Some("vprinter") => &["fiscald", "fiscal", "fdms-sandbox", "a4", "drivers"],
            Some("a4") => &["fiscald", "fdms-sandbox", "drivers", "clock"],
            _ => &[],
        };
        for dependency in all.iter().filter(|d| never.contains(&d.as_str())) {
            refuse(&format!(
                "{name:?} must not use {dependency}: that arrow points back"
            ));
        }
        if name == Some("fiscal") {
            for dependency in shipped.iter().filter(|d| !PURE.contains(&d.as_str())) {
                refuse(&format!("the pure core must not use {dependency}"));
            }
        }
        if name == Some("fiscald") {
            under_demo_only(&manifest, &mut refuse);
        }
        for dependency in all.iter().filter(|d| UNWANTED.contains(&d.as_str())) {
            refuse(&format!(
                "{dependency} has no place here: rustls, aws-lc-rs and jiff do its work"
            ));
        }
    }
    found
}

/// The daemon judges itself against the sandbox only in a source build.
fn under_demo_only(manifest: &toml::Table, refuse: &mut impl FnMut(&str)) {
    let name = "fdms-sandbox";
    let plain = manifest.get("dependencies").and_then(|d| d.get(name));
    let optional =
        plain.is_some_and(|d| d.get("optional").is_some_and(|o| o.as_bool() == Some(true)));
    if plain.is_some() && !optional {
        refuse("fdms-sandbox must be optional: it is not in packages");
    }
    if dependencies(manifest, &["dev-dependencies", "build-dependencies"])
        .iter()
        .any(|d| d == name)
    {
        refuse("fdms-sandbox comes in through the feature demo alone");
    }
    let features = manifest
        .get("features")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flatten();
    for (feature, parts) in features.filter(|(feature, _)| *feature != "demo") {
        let parts = parts
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_str);
        for part in parts
            .clone()
            .filter(|p| *p == "dep:fdms-sandbox" || p.starts_with("fdms-sandbox/") || *p == name)
        {
            refuse(&format!(
                "the feature {feature} brings in the sandbox by {part}; only demo may"
            ));
        }
        if parts.clone().any(|part| part == "crash-points") {
            refuse(&format!(
                "the feature {feature} brings in points at which the daemon ends itself; only demo may"
            ));
        }
    }
}

/// What is packaged has no points at which it ends itself: it is built without features, and is looked through.
fn looked_through(files: &[File]) -> Vec<String> {
    let script = files.iter().filter(|f| f.path == "scripts/package");
    let lacks = script.flat_map(|file| {
        let needed = ["--no-default-features", "|FISCALD_CRASH_AT|"];
        let lacking = needed.into_iter().filter(|word| !file.text.contains(word));
        lacking.map(|word| format!("{}: it must build with, and look for, {word}", file.path))
    });
    lacks.collect()
}

fn manifests(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.is_manifest()) {
        let manifest: toml::Table = file.text.parse().unwrap();
        for (table, key) in [
            ("lints", ""),
            ("package", "license"),
            ("package", "edition"),
            ("package", "publish"),
        ] {
            let entry = manifest.get(table);
            let entry = if key.is_empty() {
                entry
            } else {
                entry.and_then(|e| e.get(key))
            };
            let inherited = entry
                .and_then(|e| e.get("workspace"))
                .and_then(toml::Value::as_bool);
            if inherited != Some(true) {
                let what = [table, key].join(" ");
                found.push(format!(
                    "{}: {what}: write `workspace = true`, so that it is said once",
                    file.path
                ));
            }
        }
    }
    found
}

/// What the commands of README.md mean by `cargo run`: with a second program that is run by default cargo runs none.
fn run_by_default(files: &[File]) -> Vec<String> {
    let says = |file: &&File| {
        let manifest: toml::Table = file.text.parse().unwrap();
        let package = manifest.get("package");
        let of = |key| package.and_then(|package| package.get(key)?.as_str());
        of("default-run").is_some_and(|run| of("name") != Some("fiscald") || run != "fiscald")
    };
    let all = files.iter().filter(|file| file.is_manifest());
    all.filter(says)
        .map(|file| {
            format!(
                "{}: take `default-run` out: `cargo run` is `fiscald` (README.md), and cargo runs none of two",
                file.path
            )
        })
        .collect()
}

/// Complaints about lines `name version<TAB>licence` of what is built and shipped.
fn shipped(list: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in list.lines().filter(|l| !l.trim().is_empty()) {
        let (package, licence) = line.split_once('\t').unwrap_or((line, ""));
        let name = package.split(' ').next().unwrap_or_default();
        if UNWANTED.contains(&name) {
            found.push(format!(
                "{name} is in the build; cargo tree -i {name} says why"
            ));
        }
        // "A OR (B AND C)": one side of an OR is enough, all sides of an AND are needed.
        let licence = licence.trim_end_matches("(*)").replace('/', " OR ");
        let known = |l: &str| {
            LICENCES.contains(
                &l.trim()
                    .trim_matches(['(', ')'])
                    .split(" WITH ")
                    .next()
                    .unwrap_or_default(),
            )
        };
        let fine = |part: &str| part.split(" OR ").any(known);
        if !licence.split(" AND ").all(fine) {
            found.push(format!(
                "{package} is under \"{}\", which is not on the list",
                licence.trim()
            ));
        }
    }
    found
}

/// Crates use each other in one direction.
#[test]
fn arrows_point_one_way() {
    let bad = [
        "[package]\nname = 'fiscal'\n[dependencies]\ntokio = '1'",
        "[package]\nname = 'fiscal'\n[target.'cfg(unix)'.dependencies]\nrusqlite = '1'",
        "[package]\nname = 'fiscal'\n[dev-dependencies]\nfiscald = '1'",
        "[package]\nname = 'fdms-sandbox'\n[dependencies]\nother = { package = 'fiscal', version = '1' }",
        "[package]\nname = 'fdms-sandbox'\n[dev-dependencies]\nfiscald = '1'",
        "[package]\nname = 'clock'\n[dependencies]\nfiscal = '1'",
        "[package]\nname = 'fiscald'\n[dependencies]\nfdms-sandbox = '1'",
        "[package]\nname = 'fiscald'\n[dev-dependencies]\nfdms-sandbox = '1'",
        "[package]\nname = 'fiscald'\n[features]\ndefault = ['dep:fdms-sandbox']",
        "[package]\nname = 'fiscald'\n[features]\ndefault = ['crash-points']",
        "[package]\nname = 'fiscald'\n[dependencies]\nnative-tls = '1'",
        "[package]\nname = 'fiscald'\n[dependencies]\nfiscal-hq = '1'",
        "[package]\nname = 'sync-wire'\n[dependencies]\nclock = '1'",
        "[package]\nname = 'sync-agent'\n[dependencies]\nfiscal = '1'",
        "[package]\nname = 'fiscal-hq'\n[dependencies]\nsync-agent = '1'",
        "[package]\nname = 'fiscald'\n[dev-dependencies]\nsimulation = '1'",
    ];
    let good = [
        "[package]\nname = 'fiscal'\n[dependencies]\nserde = '1'\n[dev-dependencies]\nproptest = '1'",
        "[package]\nname = 'fiscald'\n[dependencies]\nfiscal = '1'\nfdms-sandbox = { version = '1', optional = true }\n[features]\ndemo = ['dep:fdms-sandbox']",
        "[package]\nname = 'fiscald'\n[dependencies]\nsync-agent = '1'\nsync-wire = '1'\n[dev-dependencies]\nfiscal-hq = '1'",
        "[package]\nname = 'sync-agent'\n[dependencies]\nsync-wire = '1'\nclock = '1'",
        "[package]\nname = 'fiscal-hq'\n[dependencies]\nsync-wire = '1'\nfiscal = '1'\na4 = '1'",
    ];
    fence(
        arrows,
        &bad.map(|text| ("Cargo.toml", text)),
        &good.map(|text| ("Cargo.toml", text)),
    );
}

/// A daemon that can be told to end itself is in no package.
#[test]
fn packages_are_looked_through() {
    let good = "cargo build --no-default-features\ngrep -acE 'test_clock|FISCALD_CRASH_AT|x'";
    let built = good.replace("--no-default-features", "");
    let looked = good.replace("|FISCALD_CRASH_AT", "");
    fence(
        looked_through,
        &[("scripts/package", &built), ("scripts/package", &looked)],
        &[("scripts/package", good)],
    );
}

/// Lints, licence and edition are said once, at the top.
#[test]
fn manifests_inherit() {
    let good = "[package]\nlicense.workspace = true\nedition.workspace = true\npublish.workspace = true\n[lints]\nworkspace = true";
    let bad = good.replace("[lints]\nworkspace = true", "");
    let own = good.replace("license.workspace = true", "license = 'MIT'");
    fence(
        manifests,
        &[("a/Cargo.toml", &bad), ("a/Cargo.toml", &own)],
        &[("a/Cargo.toml", good)],
    );
}

/// `cargo run -- demo` runs the gateway.
#[test]
fn one_program_is_run_by_default() {
    let bad = [
        "[package]\nname = 'fiscal-hq'\ndefault-run = 'fiscal-hq'",
        "[package]\nname = 'fiscald'\ndefault-run = 'usb-vm'",
    ];
    let good = [
        "[package]\nname = 'fiscald'\ndefault-run = 'fiscald'",
        "[package]\nname = 'fiscal-hq'",
    ];
    fence(
        run_by_default,
        &bad.map(|text| ("Cargo.toml", text)),
        &good.map(|text| ("Cargo.toml", text)),
    );
}

/// The project and all that is built into it are under licences that go together.
#[test]
fn licences_go_together() {
    for bad in [
        "a v1\tGPL-3.0-only",
        "a v1\tMIT AND GPL-2.0",
        "a v1\t",
        "ring v0.17.0\tISC",
    ] {
        assert!(!shipped(bad).is_empty(), "{bad}");
    }
    for good in [
        "a v1\tMIT OR GPL-2.0",
        "a v1\t(MIT OR X) AND ISC (*)",
        "a v1\tMIT/X",
    ] {
        assert!(shipped(good).is_empty(), "{good}");
    }
    let root = env!("CARGO_MANIFEST_DIR");
    let licence = std::fs::read_to_string(Path::new(root).join("LICENSE")).unwrap();
    assert!(licence.contains("Apache License") && licence.contains("Version 2.0, January 2004"));
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = [
        "tree",
        "--workspace",
        "--locked",
        "--offline",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}\t{l}",
    ];
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(
        list.lines().count() > 50,
        "this is not the whole tree of dependencies:\n{list}"
    );
    let complaints = shipped(&list);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
