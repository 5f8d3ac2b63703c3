//! The links in memory keep the contract of the seam (L1 - L6), and its faults do what they say (F1 - F3).

mod connections;
mod dials;
mod faults;
mod lanes;
mod same_twice;
mod support;
