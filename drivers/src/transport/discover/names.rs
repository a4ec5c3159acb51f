//! Vendors and products of receipt printers, as they are commonly known. A hint for people, never a proof:
//! cheap printers borrow each other's numbers.

/// Vendors, by number.
const VENDORS: [(u16, &str); 9] = [
    (0x0416, "Zjiang or Winbond"),
    (0x0419, "Samsung or Bixolon"),
    (0x0483, "POS-80 or MPT"),
    (0x04b8, "Epson"),
    (0x0519, "Star"),
    (0x0fe6, "ICS or Rongta"),
    (0x1504, "Bixolon"),
    (0x1d90, "Citizen"),
    (0x1fc9, "Xprinter"),
];

/// Products, by vendor and number.
const PRODUCTS: [(u16, u16, &str); 7] = [
    (0x0416, 0x5011, "POS-58"),
    (0x0483, 0x5743, "POS-80"),
    (0x0483, 0x5840, "MPT"),
    (0x04b8, 0x0202, "TM series"),
    (0x04b8, 0x0e03, "TM-T20"),
    (0x04b8, 0x0e15, "TM-T20II"),
    (0x04b8, 0x0e28, "TM-T20III"),
];

/// What a vendor is called.
pub(super) fn vendor(vendor: u16) -> Option<&'static str> {
    let found = VENDORS.iter().find(|(number, _)| *number == vendor);
    found.map(|(_, name)| *name)
}

/// What a product is called.
pub(super) fn product(vendor: u16, product: u16) -> Option<&'static str> {
    let found = PRODUCTS
        .iter()
        .find(|(of, number, _)| *of == vendor && *number == product);
    found.map(|(_, _, name)| *name)
}
