"""Kinds of rows (chats, documents, preferences) and the formats in which sources write them."""
