"""Data sets and files of rows, as `storm-exp look` shows them."""
