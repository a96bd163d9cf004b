"""What a row is: chats, documents, preferences, and how a source writes them."""
