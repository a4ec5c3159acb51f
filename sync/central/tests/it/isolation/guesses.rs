//! Whoever names what is another tenant's is in his own tenant's audit.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use uuid::Uuid;

use super::World;
use crate::people::Answer;
use crate::support::{Admin, Test};

/// Somebody of one tenant has named what is another's.
pub(super) struct Guess {
    actor: String,
    /// Method and path, as the audit names them.
    subject: String,
    /// Method and path of the document.
    operation: String,
    status: u16,
}

impl Guess {
    pub(super) fn of(
        who: &str,
        method: &Method,
        (template, path): (&str, &str),
        answer: &Answer,
    ) -> Option<Self> {
        let names: Vec<&str> = template
            .split('{')
            .skip(1)
            .filter_map(|part| part.split('}').next())
            .collect();
        let is_id = |name: &&str| !["file", "action", "month", "year"].contains(name);
        if ["store", "nobody"].contains(&who) || !names.iter().any(is_id) {
            return None;
        }
        let path = path.split('?').next().unwrap();
        let actor = match who {
            "token" => "token:erp".to_owned(),
            who => format!("user:{who}@acacia.example"),
        };
        Some(Self {
            actor,
            subject: format!("{method} {path}"),
            operation: format!("{method} {template}"),
            status: answer.status,
        })
    }
}

impl World {
    /// Whoever named something of the other, and was let come so far, is in his own tenant's audit: on each path that
    /// has an id in it.
    pub(super) async fn guesses_are_audited(&self, guesses: Vec<Option<Guess>>) {
        let sql = self.test.database.connect("postgres").await;
        let rows = sql
            .query(
                "SELECT actor, subject, action FROM fdms_audit_logs WHERE tenant_id = $1 AND action LIKE 'access.%'",
                &[&self.own.0],
            )
            .await
            .unwrap();
        let row = |row: &tokio_postgres::Row| (row.get(0), row.get(1), row.get(2));
        let audited: BTreeSet<(String, String, String)> = rows.iter().map(row).collect();
        let has = |guess: &Guess, action: &str| {
            let wanted = (
                guess.actor.clone(),
                guess.subject.clone(),
                action.to_owned(),
            );
            audited.contains(&wanted)
        };
        let guesses: Vec<Guess> = guesses.into_iter().flatten().collect();
        let (mut unaudited, mut found) = (Vec::new(), BTreeSet::new());
        for guess in &guesses {
            if has(guess, "access.not_found") {
                found.insert(&guess.operation);
            }
            if guess.status == 404 && !has(guess, "access.not_found") {
                let Guess {
                    actor,
                    subject,
                    status,
                    ..
                } = guess;
                unaudited.push(format!("{subject} by {actor} is {status}"));
            }
        }
        let never: BTreeSet<_> = guesses
            .iter()
            .map(|guess| &guess.operation)
            .filter(|operation| !found.contains(operation))
            .collect();
        assert!(
            unaudited.is_empty() && never.is_empty(),
            "{unaudited:#?} {never:#?}"
        );
        assert!(found.len() > 20, "{}", found.len());
    }
}

/// Guesses do not flood the audit: what is too many is counted, and the next that is written down says how many.
#[tokio::test]
async fn too_many_guesses_are_counted() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Acacia").await;
    let rows =
        "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action = 'access.not_found'";
    let guess = async || {
        let path = format!("/fiscal_submissions/{}", Uuid::new_v4());
        assert_eq!(admin.ask(Method::GET, &path, None).await.0, 404);
    };
    for _ in 0..205 {
        guess().await;
    }
    assert_eq!(admin.count(rows).await, 200);
    test.clock.advance(Duration::from_secs(1));
    guess().await;
    assert_eq!(admin.count(rows).await, 201);
    let told = format!("{rows} AND (after->>'left_out')::integer = 5");
    assert_eq!(admin.count(&told).await, 1);
    // A path that is none is no guess.
    assert_eq!(admin.ask(Method::GET, "/nothing/here", None).await.0, 404);
    test.clock.advance(Duration::from_secs(60));
    assert_eq!(admin.count(rows).await, 201);
}
