//! The shipped profiles parse and are sane; what a shop sets otherwise is taken or refused with a reason.

use super::*;

const RAW: &str = include_str!("profiles.toml");

#[test]
fn every_shipped_profile_parses_and_can_be() {
    let parsed: BTreeMap<String, Profile> = toml::from_str(RAW).expect("the shipped file parses");
    assert!(parsed.len() >= 8, "only {} profiles", parsed.len());
    assert_eq!(
        parsed.keys().map(String::as_str).collect::<Vec<_>>(),
        Profile::names().collect::<Vec<_>>()
    );
    for (name, profile) in &parsed {
        assert_eq!(Ok(()), profile.check(), "{name}");
        assert_eq!(Ok(profile), Profile::named(name).as_ref(), "{name}");
        assert!(!profile.about.is_empty(), "{name} says what it is for");
    }
}

#[test]
fn widths_are_those_of_the_models() {
    for (name, columns, dots, qr) in [
        ("epson-tm-t20", 48, 576, Qr::Native),
        ("epson-tm-t88", 42, 512, Qr::Native),
        ("epson-tm-u220", 42, 400, Qr::Column),
        ("epson-tm-u220-40", 40, 400, Qr::Column),
        ("generic-80", 48, 576, Qr::Raster),
        ("generic-80-42", 42, 512, Qr::Raster),
        ("generic-58", 32, 384, Qr::Raster),
        ("sunmi-58", 32, 384, Qr::Native),
        ("star-escpos", 48, 576, Qr::Raster),
    ] {
        let profile = Profile::named(name).expect(name);
        assert_eq!(
            (profile.columns, profile.dots, profile.qr),
            (columns, dots, qr),
            "{name}"
        );
    }
}

#[test]
fn code_pages_have_the_numbers_of_epson_and_clones_have_none() {
    for name in Profile::names() {
        let profile = Profile::named(name).expect(name);
        match profile.code_page {
            Some(page) => {
                assert!(
                    name.starts_with("epson"),
                    "{name} numbers its pages its own way"
                );
                let number = match page.name {
                    CodePageName::Cp437 => 0,
                    CodePageName::Cp850 => 2,
                    CodePageName::Cp858 => 19,
                    CodePageName::Wpc1252 => 16,
                };
                assert_eq!(page.number, number, "{name}");
            }
            None => assert!(!name.starts_with("epson"), "{name}"),
        }
    }
}

#[test]
fn no_clone_is_taken_to_know_the_process_id() {
    for name in Profile::names().filter(|name| !name.starts_with("epson")) {
        let profile = Profile::named(name).expect(name);
        assert_ne!(profile.ack, Ack::ProcessId, "{name} would print it");
    }
}

fn chosen(text: &str) -> Result<Profile, String> {
    toml::from_str::<ProfileChoice>(text)
        .map_err(|error| error.to_string())?
        .profile()
        .map_err(|error| error.to_string())
}

#[test]
fn a_shop_sets_single_members() {
    let plain = Profile::named("generic-58").expect("it is shipped");
    assert_eq!(chosen("name = \"generic-58\""), Ok(plain.clone()));
    assert_eq!(
        ProfileChoice::named("generic-58").profile(),
        Ok(plain.clone())
    );

    let set = chosen(
        "name = \"generic-58\"\ncut = \"full\"\nqr = \"native\"\nack = \"status\"\ncode_page = { number = 7, name = \"cp858\" }",
    );
    assert_eq!(
        set,
        Ok(Profile {
            cut: Cut::Full,
            qr: Qr::Native,
            ack: Ack::Status,
            code_page: Some(CodePage {
                number: 7,
                name: CodePageName::Cp858
            }),
            ..plain
        })
    );
    let ascii = chosen("name = \"epson-tm-t20\"\nascii = true").expect("it can be");
    assert_eq!(ascii.code_page, None);
}

#[test]
fn a_custom_profile_says_its_width_and_is_simple_otherwise() {
    let simple = chosen("name = \"custom\"\ncolumns = 44\ndots = 528").expect("it can be");
    assert_eq!((simple.columns, simple.dots, simple.dpi), (44, 528, 203));
    assert_eq!(
        (
            simple.qr,
            simple.pictures,
            simple.cut,
            simple.drawer,
            simple.ack
        ),
        (Qr::None, false, Cut::None, false, Ack::OneWay)
    );
    let error = chosen("name = \"custom\"\ndots = 528").expect_err("no columns");
    assert!(error.contains("needs columns"), "{error}");
}

#[test]
fn what_no_printer_has_is_refused_and_named() {
    for (text, says) in [
        (
            "name = \"epson-tm-t9000\"",
            "there is no printer profile 'epson-tm-t9000'",
        ),
        ("name = \"generic-80\"\ncolumns = 15", "columns = 15"),
        ("name = \"generic-80\"\ncolumns = 81", "columns = 81"),
        ("name = \"generic-80\"\ndots = 199", "dots = 199"),
        ("name = \"generic-80\"\ndots = 1001", "dots = 1001"),
        ("name = \"generic-80\"\ndpi = 10", "dpi = 10"),
        (
            "name = \"generic-80\"\ncolumns = 80\ndots = 384",
            "dots to a column = 4",
        ),
        (
            "name = \"generic-80\"\npictures = false",
            "needs pictures = true",
        ),
        ("name = \"generic-80\"\nqr = \"column\"", "impact printers"),
        (
            "name = \"epson-tm-u220\"\nqr = \"native\"",
            "impact printer",
        ),
        ("name = \"generic-80\"\nqr = \"wide\"", "unknown variant"),
        ("name = \"generic-80\"\ncolour = true", "unknown field"),
        ("columns = 48", "missing field `name`"),
        (
            "name = \"generic-80\"\nascii = true\ncode_page = { number = 0, name = \"cp437\" }",
            "cannot both be set",
        ),
    ] {
        let error = chosen(text).expect_err(text);
        assert!(error.contains(says), "{text}: {error}");
    }
}
