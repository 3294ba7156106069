"""Proofs that are kept between runs, with all that they depend on, so that what has not changed is not proven again."""
