"""How chats are rendered: settings, templates, text, token ids and the loss mask."""
