//! mutated_sales
