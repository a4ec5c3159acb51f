//! What a branch has in stock, and which branches a taxpayer has (docs/FDMS.md section 2).

use std::collections::BTreeMap;

use serde::Serialize;

use super::World;
use super::devices::{self, DeviceError};
use crate::answer::Refusal;
use crate::json::{self, Errors};
use crate::micro::Micro;
use crate::query::{Page, Query, quoted};
use crate::spec::{DeviceSpec, Good};

/// How many rows may be asked for at once.
const MOST_ROWS: usize = 100;

/// What a search answers.
#[derive(Debug, Serialize)]
pub(crate) struct Found<T> {
    total: usize,
    rows: Vec<T>,
}

/// Whose branch it is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BranchRow {
    tax_payer_id: i64,
    #[serde(rename = "taxPayerTIN")]
    tax_payer_tin: String,
    tax_payer_name: String,
    branch_id: i32,
    branch_name: String,
}

/// A good in stock, with an HS code.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StockRow {
    hs_code: String,
    good_name: String,
    quantity: Micro,
    #[serde(flatten)]
    branch: BranchRow,
}

/// What the goods are sorted by: a text of the row.
type StockKey = fn(&StockRow) -> String;

const STOCK_SORTS: [(&str, StockKey); 3] = [
    ("HsCode", |row| row.hs_code.clone()),
    ("GoodName", |row| row.good_name.to_lowercase()),
    ("BranchName", |row| row.branch.branch_name.to_lowercase()),
];

/// What the branches are sorted by.
type BranchKey = fn(&BranchRow) -> (i32, String);

const BRANCH_SORTS: [(&str, BranchKey); 2] = [
    ("BranchId", |row| (row.branch_id, String::new())),
    ("BranchName", |row| (0, row.branch_name.to_lowercase())),
];

impl World {
    /// The goods with an HS code at the device's branch.
    pub(crate) fn search_stock(
        &self,
        device_id: u32,
        query: &Query,
    ) -> Result<Found<StockRow>, Refusal> {
        let mut errors = Errors::default();
        let page = Page::read(query, Some(MOST_ROWS), &mut errors);
        let sort = query.optional(&mut errors, "Sort", quoted(json::one_of(&STOCK_SORTS)));
        let hs_code = query.optional(&mut errors, "HsCode", quoted(eight_digits));
        let good_name = query.optional(&mut errors, "GoodName", quoted(json::text(500)));
        let branch_id = query.optional(&mut errors, "BranchId", json::integer);
        self.checked(errors)?;
        let spec = &self.device(device_id)?.spec;
        let branch = self.branch_row(device_id)?;
        let wanted = |good: &&Good| {
            good.hs_code.is_some()
                && page.admits(&[
                    hs_code
                        .as_ref()
                        .map(|code| good.hs_code.as_ref() == Some(code)),
                    good_name
                        .as_ref()
                        .map(|name| words_begin(&good.good_name, name)),
                    branch_id.map(|id| id == spec.branch_id),
                ])
        };
        let goods = spec.stock.iter().filter(wanted);
        let rows = goods.filter_map(|good| {
            Some(StockRow {
                hs_code: good.hs_code.clone()?,
                good_name: good.good_name.clone(),
                quantity: good.quantity,
                branch: branch.clone(),
            })
        });
        let key = sort.unwrap_or(STOCK_SORTS[1].1);
        let (total, rows) = page.cut(rows.collect(), key);
        Ok(Found { total, rows })
    }

    /// The branches of the device's taxpayer, as far as they have devices.
    pub(crate) fn search_branches(
        &self,
        device_id: u32,
        query: &Query,
    ) -> Result<Found<BranchRow>, Refusal> {
        let mut errors = Errors::default();
        let page = Page::read(query, Some(MOST_ROWS), &mut errors);
        let sort = query.optional(&mut errors, "Sort", quoted(json::one_of(&BRANCH_SORTS)));
        let name = query.optional(&mut errors, "BranchName", quoted(json::text(250)));
        self.checked(errors)?;
        let tin = &self.device(device_id)?.spec.tax_payer_tin;
        let mut branches = BTreeMap::new();
        for (id, device) in &self.devices {
            if device.spec.tax_payer_tin == *tin {
                branches.insert(device.spec.branch_id, self.branch_row(*id)?);
            }
        }
        let wanted = |row: &BranchRow| {
            let by_name = name.as_ref();
            page.admits(&[by_name.map(|name| words_begin(&row.branch_name, name))])
        };
        let rows = branches.into_values().filter(wanted).collect();
        let (total, rows) = page.cut(rows, sort.unwrap_or(BRANCH_SORTS[0].1));
        Ok(Found { total, rows })
    }

    fn branch_row(&self, device_id: u32) -> Result<BranchRow, Refusal> {
        let device = self.device(device_id)?;
        let tin = &device.spec.tax_payer_tin;
        Ok(BranchRow {
            tax_payer_id: tin.parse().unwrap_or_default(),
            tax_payer_tin: tin.clone(),
            tax_payer_name: self.taxpayer_of(device)?.name.clone(),
            branch_id: device.spec.branch_id,
            branch_name: device.spec.branch_name.clone(),
        })
    }

    /// All that is in stock at the device's branch, anew.
    pub(crate) fn set_stock(&mut self, device_id: u32, goods: &[Good]) -> Result<(), DeviceError> {
        devices::check_stock(goods)?;
        let device = self.devices.get(&device_id);
        let device = device.ok_or(DeviceError::Unknown(device_id))?;
        let branch = branch_of(&device.spec);
        for device in self.devices.values_mut() {
            if branch_of(&device.spec) == branch {
                device.spec.stock = goods.to_vec();
            }
        }
        Ok(())
    }

    /// A new device brings its branch's stock, or finds it there.
    pub(super) fn share_stock(&mut self, device_id: u32) -> Result<(), DeviceError> {
        let device = self.devices.get(&device_id);
        let spec = &device.ok_or(DeviceError::Unknown(device_id))?.spec;
        let mut goods = spec.stock.clone();
        if goods.is_empty() {
            let mut others = self.devices.values();
            let there = others.find(|other| {
                branch_of(&other.spec) == branch_of(spec) && !other.spec.stock.is_empty()
            });
            goods = there
                .map(|other| other.spec.stock.clone())
                .unwrap_or_default();
        }
        self.set_stock(device_id, &goods)
    }
}

/// What makes two devices stand at one branch: taxpayer and number.
fn branch_of(spec: &DeviceSpec) -> (String, i32) {
    (spec.tax_payer_tin.clone(), spec.branch_id)
}

fn eight_digits(raw: &str) -> Result<String, String> {
    let text = json::text(8)(raw)?;
    let is_code = text.len() == 8 && text.bytes().all(|digit| digit.is_ascii_digit());
    if is_code {
        return Ok(text);
    }
    Err("The field must be 8 digits.".to_owned())
}

/// Whether each word of `wanted` is the beginning of a word of `name`, in whatever case.
fn words_begin(name: &str, wanted: &str) -> bool {
    let (name, wanted) = (name.to_lowercase(), wanted.to_lowercase());
    let mut wanted = wanted.split_whitespace();
    wanted.all(|wanted| name.split_whitespace().any(|word| word.starts_with(wanted)))
}
