"""One reading of chats: settings, templates, text, token ids, and what in them is learnt."""
