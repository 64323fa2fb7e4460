//! Envelopes described by their parameters, so that ours and those of other people's libraries can be built from the
//! same lines and compared byte for byte. The other builders are in `tests/conformance/`.
//!
//! A line of JSON describes an envelope ([`description`]); [`generate`] makes random ones from a seed; [`build`] builds
//! them with the product's code and, where the product never sends such a thing, with the types of `stellar-xdr`;
//! [`compare`] holds what several builders made of the same lines against each other.

pub mod build;
pub mod compare;
pub mod description;
pub mod generate;
