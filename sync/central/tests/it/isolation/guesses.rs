//! Whoever names what is another tenant's is in his own tenant's audit.

use std::collections::BTreeSet;

use reqwest::Method;

use super::World;
use crate::people::Answer;

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
