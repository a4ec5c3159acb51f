//! The command that head office shows to join a store with is one that the gateway takes.

use clap::CommandFactory as _;
use fiscald::cli::Cli;
use reqwest::Method;
use serde_json::json;

use super::shop::Shop;
use super::world::World;

/// The commands to join with that stand in a text, up to the end of each one's element, quotation or sentence.
fn commands(text: &str) -> Vec<String> {
    let found = text.match_indices("fiscald hq join").map(|(at, _)| {
        let rest = &text[at..];
        let end = rest.find(['<', '`', '"', '\n']).unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    found.collect()
}

/// What the gateway's own command line reads from it: the code and the address.
fn read(command: &str) -> (String, String) {
    let words = command.split_whitespace();
    let read = Cli::command().try_get_matches_from(words);
    let read = read.unwrap_or_else(|why| panic!("`{command}`: {why}"));
    let (_, hq) = read.subcommand().unwrap();
    let (name, join) = hq.subcommand().unwrap();
    assert_eq!(name, "join", "{command}");
    let text = |of: &str| join.get_one::<String>(of).unwrap().clone();
    (text("code"), text("url"))
}

/// Wherever head office says how a store joins, the gateway's command line takes it as it stands there, with head
/// office's address; and the code that is shown once joins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_to_join_with_runs() {
    let world = World::new().await;
    let admin = fiscal_hq::testing::Admin::of_new(&world.hq, "Baobab").await;
    let url = &world.hq.hq.public_url;
    let shown = async |method: Method, path: &str| {
        let (status, page) = admin.text(method, path, None).await;
        let found = commands(&page);
        assert_eq!(found.len(), 1, "{path}: {status} {page}");
        read(&found[0])
    };
    let sample = ("CODE".to_owned(), url.clone());
    assert_eq!(shown(Method::GET, "/stores").await, sample);
    let store = json!({ "name": "Harare" });
    let store = admin.post("/fiscal_devices/stores", store).await;
    let page = format!("/stores/{}", store["store_id"].as_str().unwrap());
    assert_eq!(shown(Method::GET, &page).await, sample);
    // A store that head office does not know is told so too.
    assert_eq!(shown(Method::POST, "/sync").await, sample);
    let (code, address) = shown(Method::POST, &format!("{page}/code")).await;
    assert_eq!(&address, url);
    let joined = Shop::new(&world, "harare").join(&code).await.unwrap();
    assert_eq!(joined.store, "Harare");
}
