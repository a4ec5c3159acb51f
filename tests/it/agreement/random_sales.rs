//! random_sales
