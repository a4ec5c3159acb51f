//! The power goes while sales are on their way: the ledger lies on a disk that forgets what was not synced.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clock::{Clock as _, SystemClock};

use super::book::Book;
use super::volume::{self, Ground, Volume};
use super::{Session, sell_until, wished};
use super::{commands, points};
use crate::support::process::{PATIENCE, Store};

/// Answered sales are there after each cut, and the store goes on as if nothing had happened.
#[test]
fn the_power_goes_while_sales_are_on_their_way() {
    let Some(place) = volume::place("crash::cuts::the_power_goes_while_sales_are_on_their_way")
    else {
        return;
    };
    let volume = Volume::make(place.join("disk"), place.join("data"));
    let mut store = Store::set_up(&place, 4243);
    let mut session = Session::new("cuts", wished("CRASH_CUTS", 5));
    while session.goes_on() {
        let is_in_flight = session.sell(&mut store, |store, book| cut(&volume, store, book));
        session.book.is_cut.store(false, Ordering::SeqCst);
        volume.again();
        session.count(is_in_flight);
        session.nothing_is_lost(&store);
    }
    session.finish(&mut store);
}

/// What a till has heard before this moment is promised. After it the machine is off; that its processor runs on for a
/// moment is the test's doing, and what it answers then, nobody hears. (It may be wrong: ext4 lets an `fdatasync` that is
/// under way succeed although its journal was given up meanwhile.)
fn cut(volume: &Volume, store: &mut Store, book: &Book) {
    book.is_cut.store(true, Ordering::SeqCst);
    volume.cut();
    store.kill();
}

/// The power goes at each named point of the daemon's day and of the commands: what was done stays done, and what was
/// not is done again.
#[test]
fn the_power_goes_at_every_point() {
    let Some(place) = volume::place("crash::cuts::the_power_goes_at_every_point") else {
        return;
    };
    type Story = fn(&Path, &Ground);
    let stories: [(&str, Story); 6] = [
        ("backup", commands::backup),
        ("migration", commands::migration),
        ("archive", commands::archive),
        ("restore", commands::restore),
        ("file", points::day_by_file),
        ("day", points::day),
    ];
    for (name, story) in stories {
        let dir = place.join(name);
        std::fs::create_dir(&dir).unwrap();
        story(&dir, &Ground::disk(&dir));
    }
}

/// Where the daemon's syncs do nothing, answered sales are lost, and that is found.
#[test]
fn without_syncing_sales_are_lost() {
    let Some(place) = volume::place("crash::cuts::without_syncing_sales_are_lost") else {
        return;
    };
    let library = without_syncing(&place);
    let volume = Volume::make(place.join("disk"), place.join("data"));
    let mut store = Store::set_up(&place, 4244);
    let session = Session::new("planted", 1);
    store.start_with(&[("LD_PRELOAD", &library)]);
    sell_until(
        &mut store,
        &session.book,
        Duration::from_millis(20),
        |store, book| {
            let start = SystemClock.boot();
            while book.sold() < 20 && SystemClock.boot() - start < PATIENCE {
                std::thread::yield_now();
            }
            cut(&volume, store, book);
        },
    );
    volume.again();
    let (lost, sold) = (session.book.lost(&store).len(), session.book.sold());
    println!("planted: {lost} of {sold} answered sales are lost");
    assert!(lost > 0, "{sold} sales, none lost");
}

/// A library that is loaded before the C library and takes its syncs away.
fn without_syncing(place: &Path) -> String {
    let (source, library) = (place.join("nosync.c"), place.join("nosync.so"));
    let functions = "int fsync(int f) { return 0; }\nint fdatasync(int f) { return 0; }\n";
    std::fs::write(&source, functions).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    assert!(compiled.unwrap().success());
    library.to_str().unwrap().to_owned()
}
