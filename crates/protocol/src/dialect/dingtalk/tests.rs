//! Every row of the page, both ways.
