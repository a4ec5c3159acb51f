//! The configuration: what is taken, what is refused with its place, and the sample that is shipped.

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("fiscald.toml"), text)
        .map_err(|error| format!("{:#}", anyhow::Error::from(error)))
}

/// An empty file is the defaults; what is set is taken.
#[test]
fn defaults_and_values() {
    assert_eq!(parse("").unwrap().api.listen.port(), 8487);
    let config =
        parse("[store]\nday_opening = \"by_hand\"\n[taxes]\nstandard = 517\n[[tills]]\ndevice_id = 7\nenvironment = \"test\"\nday_closing = \"22:30\"\n").unwrap();
    let settings = config.settings().unwrap();
    assert_eq!(settings.days.opening, DayOpening::ByHand);
    assert_eq!(settings.days.closing, DayClosing::ByHand);
    let own = settings.tills.values().next().unwrap();
    assert_eq!(own.opening, None);
    assert!(matches!(own.closing, Some(DayClosing::At(_))));
    assert_eq!(settings.tax_aliases.len(), 1);
}

/// What is misspelt or makes no sense is said with its place.
#[test]
fn faults_are_said() {
    for (text, expected) in [
        ("[store]\ncurrency = [\"USD\"]", "line 2"),
        (
            "[store]\ncurrences = [\"USD\"]",
            "did you mean `currencies`?",
        ),
        ("\n[fdms]\ntest_url = \"http://x\"", "line 3"),
        ("[api]\nlisten = \"0.0.0.0:80\"", "loopback"),
        ("[store]\ncurrencies = [\"US$\"]", "US$"),
        ("[fdms]\ntest_url = \"http://x\"", "https://"),
        ("[[api.unix_users]]\ndevice_id = 1", "uid or gid"),
        ("[store]\nday_closing = \"22.30\"", "a time like \"22:30\""),
        (
            "[[tills]]\ndevice_id = 1\nenvironment = \"test\"\n[[tills]]\ndevice_id = 1\nenvironment = \"test\"",
            "line 5: tills: 1 (test): is there twice",
        ),
        (
            "[[printers]]\nname = \"a\"\nlink = \"usb:any\"\nprofile = \"generic-80\"\n[[printers]]\nname = \"b\"\nlink = \"file:/x\"\nprofile = \"epson-tm-t2\"",
            "line 8: printers: b: profile: there is no printer profile",
        ),
        (
            "[[printers]]\nname = \"b\"\nlink = \"file:/x\"\nprofile = \"epson-tm-t2\"",
            "did you mean `epson-tm-t20`?",
        ),
        (
            "[[printers]]\nname = \"front\"\nlink = \"file:/x\"\nprofile = \"generic-80\"\n[[tills]]\ndevice_id = 1\nenvironment = \"test\"\nprinter = \"frint\"",
            "line 8: tills: 1 (test): printer: there is no printer \"frint\" (did you mean `front`?)",
        ),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

/// A template is read from a file, and from one of its size: nobody waits for a pipe, a device or a mountain.
#[test]
fn templates_are_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let (_, good) = drivers::capture::template::SHIPPED[0];
    let most = 256 << 10;
    let full = format!("{good}\n#{}", "x".repeat(most - good.len() - 2));
    std::fs::write(file("good.toml"), good).unwrap();
    std::fs::write(file("full.toml"), &full).unwrap();
    std::fs::write(file("long.toml"), full + "x").unwrap();
    std::fs::create_dir(file("folder.toml")).unwrap();
    let pipe = file("pipe.toml");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let used = |path: &Path| {
        let text = format!(
            "[[printers]]\nname = \"front\"\nlink = \"usb:any\"\nprofile = \"generic-80\"\n\
             [[pos]]\nname = \"old\"\nkind = \"printer\"\nlisten = \"tcp:127.0.0.1:9100\"\ndevice_id = 1\n\
             environment = \"test\"\nprinter = \"front\"\ntemplates = [{path:?}]\n"
        );
        let ports = parse(&text).unwrap().pos().unwrap();
        let Plays::Printer(templates) = &ports[0].plays else {
            panic!("it plays no printer");
        };
        templates.current().map(drop)
    };
    for name in ["good.toml", "full.toml"] {
        used(&file(name)).unwrap();
    }
    for (path, expected) in [
        (pipe, "no file"),
        (PathBuf::from("/dev/zero"), "no file"),
        (file("folder.toml"), "no file"),
        (file("long.toml"), "has 262145 bytes"),
        (file("gone.toml"), "No such file"),
    ] {
        let error = used(&path).unwrap_err();
        let named = format!("template {}: ", path.display());
        assert!(
            error.starts_with(&named) && error.contains(expected),
            "{error}"
        );
    }
}

fn sample() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/fiscald/fiscald.toml");
    std::fs::read_to_string(path).unwrap()
}

/// With every setting in effect. A setting stands right behind its #, a sentence behind a blank.
fn uncommented(sample: &str) -> String {
    sample
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
                setting
            }
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// The sample that the package ships is good as it is, and so is each setting in it that is commented out.
#[test]
fn the_sample() {
    let sample = sample();
    let shipped = parse(&sample).unwrap();
    assert_eq!(
        shipped.ledger_path(),
        Path::new("/var/lib/fiscald/ledger.db")
    );
    let all = uncommented(&sample);
    let full = parse(&all).unwrap();
    assert_eq!(
        (full.printers.len(), full.pos.len(), full.tills.len()),
        (1, 2, 1)
    );
    full.print_plan().unwrap();
    assert_eq!(full.pos().unwrap().len(), 2);
    // What is said to hold without a word does.
    let defaults = Config::default();
    let whole = |config: &Config| {
        let (store, api, fdms, log) = (&config.store, &config.api, &config.fdms, &config.log);
        format!(
            "{:?} {:?} {} {:?} {} {:?} {:?} {:?} {} {} {:?} {} {} {} {} {:?} {:?}",
            store.currencies,
            store.day_opening,
            store.rollover_offline,
            store.answers,
            store.online_wait_ms,
            store.print,
            store.day_closing,
            api.listen,
            fdms.test_url,
            fdms.production_url,
            fdms.file_transport,
            log.level,
            log.keep,
            log.max_mb,
            log.json,
            config.backup.at,
            config.backup.keep(),
        )
    };
    assert_eq!(whole(&full), whole(&defaults));
    assert_eq!(whole(&shipped), whole(&defaults));
}

/// The sample tells of every setting that there is: those that serde would take in a section.
#[test]
fn the_sample_is_whole() {
    let whole: toml::Table = uncommented(&sample()).parse().unwrap();
    let sections = [
        "",
        "store",
        "api",
        "api.unix_users",
        "api.lan",
        "fdms",
        "backup",
        "log",
        "tills",
        "printers",
        "pos",
    ];
    for section in sections {
        let known = known(section);
        assert!(known.len() > 2, "[{section}]: {known:?}");
        let mut rows = vec![&whole];
        for name in section.split('.').filter(|name| !name.is_empty()) {
            rows = rows
                .iter()
                .flat_map(|table| match &table[name] {
                    toml::Value::Table(table) => vec![table],
                    toml::Value::Array(rows) => {
                        rows.iter().map(|row| row.as_table().unwrap()).collect()
                    }
                    other => panic!("[{section}]: {other}"),
                })
                .collect();
        }
        for name in known {
            assert!(
                rows.iter().any(|table| table.contains_key(&name)),
                "the sample does not tell of `{name}` in [{section}]"
            );
        }
    }
}

/// The names that a section may have, from what is said of one that it may not.
fn known(section: &str) -> Vec<String> {
    let header = match section {
        "" => String::new(),
        "tills" | "printers" | "pos" | "api.unix_users" => format!("[[{section}]]\n"),
        _ => format!("[{section}]\n"),
    };
    let error = toml::from_str::<Config>(&format!("{header}nonsense = 1\n")).unwrap_err();
    let (_, expected) = error.message().split_once("expected").unwrap();
    let names = expected.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}
