//! GetUsersList.

use serde::Serialize;

use crate::answer::Refusal;
use crate::json::{self, Errors};
use crate::model::{User, UserStatus};
use crate::query::{Page, Query, quoted};
use crate::world::World;

/// What GetUsersList answers.
#[derive(Debug, Serialize)]
pub(crate) struct UserList {
    total: usize,
    rows: Vec<UserRow>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UserRow {
    user_name: String,
    person_name: String,
    person_surname: String,
    user_role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_no: Option<String>,
    user_status: UserStatus,
}

/// What the list is sorted by: a text of the row.
type Key = fn(&UserRow) -> String;

const SORTS: [(&str, Key); 7] = [
    ("UserName", |row| row.user_name.clone()),
    ("PersonName", |row| row.person_name.clone()),
    ("PersonSurname", |row| row.person_surname.clone()),
    ("UserRole", |row| row.user_role.clone()),
    ("Email", |row| row.email.clone().unwrap_or_default()),
    ("PhoneNo", |row| row.phone_no.clone().unwrap_or_default()),
    ("UserStatus", |row| format!("{:?}", row.user_status)),
];

impl World {
    /// The users of the device's taxpayer.
    pub(crate) fn users(&self, device_id: u32, query: &Query) -> Result<UserList, Refusal> {
        let mut errors = Errors::default();
        let page = Page::read(query, None, &mut errors);
        let sort = query.optional(&mut errors, "Sort", quoted(json::one_of(&SORTS)));
        self.checked(errors)?;
        let users = self.taxpayer_of(self.device(device_id)?)?.users.values();
        let rows = users.map(UserRow::of).collect();
        let key = sort.unwrap_or(SORTS[0].1);
        let (total, rows) = page.cut(rows, key);
        Ok(UserList { total, rows })
    }
}

impl UserRow {
    fn of(user: &User) -> Self {
        Self {
            user_name: user.name.clone(),
            person_name: user.person_name.clone(),
            person_surname: user.person_surname.clone(),
            user_role: user.role.clone(),
            email: user.email.clone(),
            phone_no: user.phone_no.clone(),
            user_status: user.status,
        }
    }
}
