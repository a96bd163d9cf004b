"""What `storm-exp look` shows, as text and as a page: examples of data, as views give them."""
