"""Training under Lightning: one trainer, and what is trained with it.

`trainer.train(model, sequences, settings, stage)` is the loop, for every objective;
`chat_tokens` turns chats into its data; `finetuner` components choose what trains.
"""
